package config_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
)

// files makes keys once for all tests; that takes longer than everything else they do.
var files = sync.OnceValues(configtest.Files)

// folder returns a folder with all files of the example, and the example itself in ostiary.yaml after edits.
func folder(t *testing.T, edits ...string) string {
	t.Helper()
	dir := t.TempDir()
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	if err := configtest.Write(dir, all); err != nil {
		t.Fatal(err)
	}
	rewrite(t, dir, edits...)
	return dir
}

// rewrite puts the example in place, with each old text replaced by the new one that follows it.
func rewrite(t *testing.T, dir string, edits ...string) {
	t.Helper()
	text := configtest.Example()
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the example does not contain %q", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	write(t, dir, "ostiary.yaml", text)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := configtest.Write(dir, map[string][]byte{name: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir string) *config.Checked {
	t.Helper()
	checked, err := config.Load(filepath.Join(dir, "ostiary.yaml"))
	if err != nil {
		t.Fatalf("Load refused a good configuration:\n%s", err)
	}
	return checked
}

// refusal loads and returns the mistakes as "path: message".
func refusal(t *testing.T, dir string) []string {
	t.Helper()
	_, err := config.Load(filepath.Join(dir, "ostiary.yaml"))
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok {
		t.Fatalf("Load gave %v, want an InvalidError", err)
	}
	var mistakes []string
	for _, mistake := range invalid.Mistakes {
		mistakes = append(mistakes, mistake.Path+": "+mistake.Message)
	}
	return mistakes
}

// expect compares each mistake with a path and a part of the message, in any order, and demands that there are no others.
func expect(t *testing.T, mistakes []string, want ...string) {
	t.Helper()
	left := slices.Clone(mistakes)
	for _, line := range want {
		path, part, _ := strings.Cut(line, ": ")
		i := slices.IndexFunc(left, func(m string) bool {
			return strings.HasPrefix(m, path+": ") && strings.Contains(m, part)
		})
		if i < 0 {
			t.Errorf("no mistake like %q in:\n%s", line, strings.Join(mistakes, "\n"))
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("unexpected mistakes:\n%s", strings.Join(left, "\n"))
	}
}

func TestLoadExample(t *testing.T) {
	dir := folder(t)
	checked := load(t, dir)

	if len(checked.Warnings) > 0 {
		t.Errorf("warnings for files of mode 0600: %v", checked.Warnings)
	}
	absolute := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		return names
	}
	wantFiles := absolute("ostiary.yaml", "tls.crt", "tls.key", "users-ca.crt", "tokens.csv",
		"authentication-configuration.yaml", "cluster-ca.crt", "front.crt", "front.key", "gate.kubeconfig")
	if diff := cmp.Diff(wantFiles, checked.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	got := struct {
		Listen       config.Limits
		Drain        time.Duration
		Server, Name string
		Networks     []netip.Prefix
		MaxLifetime  time.Duration
		JWT          string
		AccessLog    string
	}{
		checked.Listen.Limits, checked.Listen.DrainTimeout, checked.Clusters[0].Server.String(), checked.Clusters[1].TLSServerName,
		checked.ClientCertificate.AllowedNetworks, checked.ClientCertificate.MaxLifetime, string(checked.JWT.Content), checked.AccessLog.File,
	}
	want := got
	want.Listen = config.Limits{ConnectionsPerSource: 1000, StreamsPerConnection: 250, HeaderBytes: 1048576}
	want.Drain = 30 * time.Second
	want.Server, want.Name = "https://10.0.0.1:6443", "kubernetes"
	want.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	want.MaxLifetime = 24 * time.Hour
	want.JWT = configtest.AuthenticationConfiguration
	want.AccessLog = filepath.Join(dir, "access.log")
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("checked values (-want +got):\n%s", diff)
	}
	if checked.Listen.TLS.Certificate.Leaf == nil || len(checked.ClientCertificate.Authorities.Certificates) != 1 {
		t.Error("certificates were not parsed")
	}
	if !bytes.Contains(checked.StaticToken.Content, []byte("alice")) {
		t.Error("the content of the token file was not handed on")
	}
}

func TestLoadRefuses(t *testing.T) {
	const identity = "  identity:\n    requestHeader: {certFile: front.crt, keyFile: front.key}"
	for _, row := range []struct {
		name  string
		edits []string
		want  []string
	}{
		// Form.
		{"wrong apiVersion", []string{"ostiary.dev/v1alpha1", "ostiary.dev/v2"}, []string{`apiVersion: "ostiary.dev/v1alpha1"`}},
		{"no kind", []string{"kind: Configuration\n", ""}, []string{"kind: Required value"}},
		{"unknown field with a neighbour", []string{"certFile: tls.crt", "certfile: tls.crt"}, []string{`listen.tls.certfile: did you mean "certFile"?`, "listen.tls.certFile: Required"}},
		{"unknown field without a neighbour", []string{"  tlsServerName: kubernetes", "  insecureSkipVerify: true"}, []string{"clusters[1].insecureSkipVerify: unknown field; known here: access, audiences"}},
		{"case of a field", []string{"audiences:", "Audiences:"}, []string{`authentication.Audiences: did you mean "audiences"`}},
		{"unknown mechanism", []string{"  anonymous:", "  kerberos: {}\n  anonymous:"}, []string{"authentication.kerberos: unknown field"}},
		{"duplicate field", []string{"  audiences: [api]", "  audiences: [api]\n  audiences: [other]"}, []string{`: Duplicate field: key "audiences" already set`}},
		{"duplicate field inside an inline object", []string{"file: authentication-configuration.yaml", "configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, kind: x}"}, []string{`: Duplicate field: key "kind"`, "authentication.jwt.configuration: kind AuthenticationConfiguration"}},
		{"list instead of mapping", []string{"accessLog:\n  file: access.log", "accessLog: [access.log]"}, []string{"accessLog: must be a mapping"}},
		{"text instead of list", []string{"caFiles: [users-ca.crt]", "caFiles: users-ca.crt"}, []string{"authentication.clientCertificate.caFiles: must be a list"}},
		{"truth value as name", []string{"audiences: [api]", "audiences: [no]"}, []string{"authentication.audiences[0]: must be a string; put it in quotes"}},
		{"text as number", []string{"samplingPerMillion: 100", `samplingPerMillion: "100"`}, []string{"tracing.samplingPerMillion: must be a whole number"}},
		{"fraction as number", []string{"samplingPerMillion: 100", `samplingPerMillion: 0.5`}, []string{"tracing.samplingPerMillion: must be a whole number"}},
		{"number as truth value", []string{"allowClearText: true", "allowClearText: 1"}, []string{"authentication.staticToken.allowClearText: must be true or false"}},
		{"section without a value", []string{"  anonymous:\n    paths: [/livez, /readyz]", "  anonymous:"}, []string{"authentication.anonymous: an empty section is written {}"}},
		{"number as duration", []string{"maxLifetime: 24h", "maxLifetime: 24"}, []string{"authentication.clientCertificate.maxLifetime: must be a duration in quotes"}},
		{"duration in days", []string{"maxLifetime: 24h", "maxLifetime: 1d"}, []string{"authentication.clientCertificate.maxLifetime: units are"}},
		{"two documents", []string{"accessLog:", "---\naccessLog:"}, []string{": more than one YAML document"}},
		{"tabs", []string{"  address: 127.0.0.1:6443", "\taddress: 127.0.0.1:6443"}, []string{": is not YAML"}},

		// Listeners.
		{"no address", []string{"address: 127.0.0.1:6443", `address: ""`}, []string{"listen.address: Required"}},
		{"address without port", []string{"127.0.0.1:6443", "127.0.0.1"}, []string{"listen.address: must be host and port"}},
		{"named port", []string{"127.0.0.1:6443", "127.0.0.1:https"}, []string{"listen.address: from 0 to 65535"}},
		{"port too large", []string{"127.0.0.1:6443", "127.0.0.1:65536"}, []string{"listen.address: from 0 to 65535"}},
		{"bad host", []string{"127.0.0.1:6443", "a_b:6443"}, []string{"listen.address: the host must be"}},
		{"admin on the gate's address", []string{"127.0.0.1:8080", "127.0.0.1:6443"}, []string{"admin.address: is also listen.address"}},
		{"admin on the gate's port, all addresses", []string{"127.0.0.1:8080", `"[::]:06443"`}, []string{"admin.address: is also listen.address"}},
		{"negative limit", []string{"admin:", "  limits: {connectionsPerSource: -1}\nadmin:"}, []string{"listen.limits.connectionsPerSource: between 1 and 1000000"}},
		{"limits beyond sense", []string{"admin:", "  limits: {streamsPerConnection: 10001, headerBytes: 4095}\nadmin:"}, []string{"listen.limits.streamsPerConnection: between", "listen.limits.headerBytes: between"}},
		{"negative duration", []string{"admin:", "  drainTimeout: -1s\nadmin:"}, []string{"listen.drainTimeout: between 1s and 24h"}},

		// Files.
		{"missing file", []string{"certFile: tls.crt", "certFile: no.crt"}, []string{"listen.tls.certFile: cannot be read: no such file or directory; check"}},
		{"folder instead of file", []string{"certFile: tls.crt", "certFile: ."}, []string{"listen.tls.certFile: is not a regular file"}},
		{"device instead of file", []string{"certFile: tls.crt", "certFile: /dev/zero"}, []string{"listen.tls.certFile: is not a regular file"}},
		{"mismatched pair", []string{"keyFile: tls.key", "keyFile: front.key"}, []string{"listen.tls: private key does not match public key"}},
		{"certificate as key", []string{"keyFile: tls.key", "keyFile: tls.crt"}, []string{"listen.tls: not a certificate and its private key"}},
		{"client certificate for the listener", []string{"{certFile: tls.crt, keyFile: tls.key}", "{certFile: front.crt, keyFile: front.key}"}, []string{"listen.tls.certFile: serverAuth"}},

		// Clusters.
		{"no clusters", []string{"clusters:\n- name: prod", "clusters: []\nx:\n- name: prod"}, []string{"clusters: at least one", "x: unknown field", "groupRules[0].match.clusters[0]: no such cluster"}},
		{"name with capitals", []string{"name: test", "name: Test"}, []string{"clusters[1].name: lowercase RFC 1123 label"}},
		{"name with a slash", []string{"name: test", "name: a/../b"}, []string{"clusters[1].name: RFC 1123"}},
		{"name twice", []string{"name: test", "name: prod"}, []string{"clusters[1].name: Duplicate value: \"prod\": each cluster"}},
		{"no name", []string{"- name: test\n  server", "- server"}, []string{"clusters[1].name: Required"}},
		{"upstream http", []string{"https://10.0.0.1:6443", "http://10.0.0.1:6443"}, []string{"clusters[0].server: must start with https"}},
		{"upstream with path", []string{"https://10.0.0.1:6443", "https://10.0.0.1:6443/k8s"}, []string{"clusters[0].server: must not have a path"}},
		{"upstream with query", []string{"https://10.0.0.1:6443", "https://10.0.0.1:6443?a=b"}, []string{"clusters[0].server: without query"}},
		{"upstream with userinfo", []string{"https://10.0.0.1:6443", "https://gate:hunter2@10.0.0.1:6443"}, []string{`clusters[0].server: "https://gate:xxxxx@10.0.0.1:6443": must not hold a user name`}},
		{"upstream with two mistakes", []string{"https://10.0.0.1:6443", "http://10.0.0.1:0"}, []string{"clusters[0].server: https", "clusters[0].server: 1 to 65535"}},
		{"upstream without host", []string{"https://10.0.0.1:6443", "https://:6443"}, []string{"clusters[0].server: host"}},
		{"upstream unparsable", []string{"https://10.0.0.1:6443", "https://gate:hunter2@10.0.0.1:x"}, []string{"clusters[0].server: Invalid value: is not a URL"}},
		{"upstream without CA", []string{"  certificateAuthorityFile: cluster-ca.crt\n", ""}, []string{"clusters[0].certificateAuthorityFile: Required"}},
		{"bad server name", []string{"tlsServerName: kubernetes", "tlsServerName: '*.example'"}, []string{"clusters[1].tlsServerName: DNS name"}},
		{"no identity mode", []string{identity + "\n", ""}, []string{"clusters[0].identity: write requestHeader or impersonation"}},
		{"both identity modes", []string{identity, identity + "\n    impersonation: {kubeconfig: gate.kubeconfig}"}, []string{"clusters[0].identity: exclude each other"}},
		{"front proxy with a server certificate", []string{"{certFile: front.crt, keyFile: front.key}", "{certFile: tls.crt, keyFile: tls.key}"}, []string{"clusters[0].identity.requestHeader.certFile: clientAuth"}},
		{"attack 39: one CA for users and front proxy", []string{"{certFile: front.crt, keyFile: front.key}", "{certFile: alice.crt, keyFile: alice.key}"}, []string{"clusters[0].identity.requestHeader.certFile: any user's certificate may pass for the gate's"}},

		// Mechanisms.
		{"G-01: no mechanism", []string{configtest.Example()[strings.Index(configtest.Example(), "  clientCertificate:"):strings.Index(configtest.Example(), "groupRules:")], "", "mechanisms: [jwt], ", ""}, []string{"authentication: at least one mechanism (proxyHeader, clientCertificate, staticToken, serviceAccountSecret"}},
		{"no CA files", []string{"caFiles: [users-ca.crt]", "caFiles: []"}, []string{"authentication.clientCertificate.caFiles: at least one"}},
		{"CA file twice", []string{"caFiles: [users-ca.crt]", "caFiles: [users-ca.crt, users-ca.crt]"}, []string{"authentication.clientCertificate.caFiles[1]: Duplicate"}},
		{"key in a CA bundle", []string{"caFiles: [users-ca.crt]", "caFiles: [users-ca.crt, front.key]"}, []string{"authentication.clientCertificate.caFiles[1]: is a PRIVATE KEY, not a CERTIFICATE"}},
		{"CA bundle without PEM", []string{"caFiles: [users-ca.crt]", "caFiles: [tokens.csv]"}, []string{"authentication.clientCertificate.caFiles[0]: holds no certificate"}},
		{"negative lifetime", []string{"maxLifetime: 24h", "maxLifetime: -24h"}, []string{"authentication.clientCertificate.maxLifetime: between 1m and 876000h"}},
		{"lifetime below a minute", []string{"maxLifetime: 1h", "maxLifetime: 1s"}, []string{"authentication.jwt.maxLifetime: between"}},
		{"lifetime beyond sense", []string{"maxLifetime: 1h", "maxLifetime: 876001h"}, []string{"authentication.jwt.maxLifetime: between"}},
		{"network with host bits", []string{"10.0.0.0/8", "10.1.2.3/8"}, []string{"authentication.clientCertificate.allowedNetworks[0]: for the network write 10.0.0.0/8, for the one address 10.1.2.3/32"}},
		{"network without mask", []string{"10.0.0.0/8", "10.1.2.3"}, []string{"authentication.clientCertificate.allowedNetworks[0]: write 10.1.2.3/32"}},
		{"network in IPv6 clothes", []string{"10.0.0.0/8", `"::ffff:10.0.0.0/104"`}, []string{"authentication.clientCertificate.allowedNetworks[0]: IPv4 networks must be written as such"}},
		{"network twice", []string{"10.0.0.0/8,", "10.0.0.0/8, 10.0.0.0/8,"}, []string{"authentication.clientCertificate.allowedNetworks[1]: Duplicate"}},
		{"no network at all", []string{"10.0.0.0/8", "office"}, []string{"authentication.clientCertificate.allowedNetworks[0]: CIDR form"}},
		{"system name without its prefix", []string{`"system:serviceaccount:*"`, "admins"}, []string{`authentication.jwt.allowedSystemNames[0]: must start with "system:"`}},
		{"system name with a star inside", []string{`"system:serviceaccount:*"`, `"system:*:default"`}, []string{"authentication.jwt.allowedSystemNames[0]: at the end only"}},
		{"star for all names", []string{`"system:serviceaccount:*"`, `"*"`}, []string{`authentication.jwt.allowedSystemNames[0]: must start with "system:"`}},
		{"empty audience", []string{"audiences: [api]", `audiences: [api, ""]`}, []string{"authentication.audiences[1]: Required"}},
		{"JWT twice", []string{"file: authentication-configuration.yaml", "file: authentication-configuration.yaml\n    configuration: {}"}, []string{"authentication.jwt: exclude each other"}},
		{"JWT without anything", []string{"    file: authentication-configuration.yaml\n", ""}, []string{"authentication.jwt: Required"}},
		{"JWT of the wrong kind", []string{"file: authentication-configuration.yaml", "file: ostiary.yaml"}, []string{`authentication.jwt.file: is "Configuration" of "ostiary.dev/v1alpha1"`}},
		{"JWT inline of the wrong group", []string{"file: authentication-configuration.yaml", "configuration: {apiVersion: v1, kind: AuthenticationConfiguration}"}, []string{"authentication.jwt.configuration: must be kind AuthenticationConfiguration of apiVersion apiserver.config.k8s.io/v1"}},
		{"anonymous twice", []string{"file: authentication-configuration.yaml", "configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, anonymous: {enabled: false}}"}, []string{"authentication.jwt.configuration: keep one of the two"}},
		{"anonymous path without slash", []string{"/livez", "livez"}, []string{`authentication.anonymous.paths[0]: must start with "/"`}},
		{"anonymous path with star", []string{"/livez", "/healthz/*"}, []string{"authentication.anonymous.paths[0]: no meaning (ANON-4)"}},
		{"anonymous path with query", []string{"/livez", `"/livez?verbose"`}, []string{"authentication.anonymous.paths[0]: path only"}},

		// Group rules.
		{"rule without name", []string{"- name: contractors\n  match", "- match"}, []string{"groupRules[0].name: Required"}},
		{"rule name twice", []string{"accessLog:", "- {name: contractors, add: [x]}\naccessLog:"}, []string{"groupRules[1].name: Duplicate"}},
		{"rule that does nothing", []string{"accessLog:", "- {name: idle, match: {users: [a]}}\naccessLog:"}, []string{"groupRules[1]: does nothing"}},
		{"unknown mechanism in a rule", []string{"mechanisms: [jwt]", "mechanisms: [oidc, password]"}, []string{`groupRules[0].match.mechanisms[0]: Unsupported value: "oidc": supported values: "proxyHeader"`, "groupRules[0].match.mechanisms[1]: Unsupported"}},
		{"unknown cluster in a rule", []string{"clusters: [prod]", "clusters: [staging]"}, []string{"groupRules[0].match.clusters[0]: no such cluster"}},
		{"empty pattern", []string{`users: ["ext-*"]`, `users: [""]`}, []string{"groupRules[0].match.users[0]: Required"}},
		{"star in the middle", []string{`users: ["ext-*"]`, `users: ["*-ext"]`}, []string{"groupRules[0].match.users[0]: at the end only"}},
		{"adding an empty group", []string{"add: [contractors]", `add: [""]`}, []string{"groupRules[0].add[0]: Required"}},
		{"attack 14: adding a group with a line break", []string{"add: [contractors]", `add: ["a\r\nX-Remote-Group: system:masters"]`}, []string{"groupRules[0].add[0]: control characters"}},
		{"GW-4: adding a group with a blank at its end", []string{"add: [contractors]", `add: ["a "]`}, []string{"groupRules[0].add[0]: blank"}},
		{"adding by pattern", []string{"add: [contractors]", `add: ["a*"]`}, []string{"groupRules[0].add[0]: whole name"}},
		{"GRP-2: adding system:unauthenticated", []string{"add: [contractors]", `add: ["system:unauthenticated"]`}, []string{"groupRules[0].add[0]: Kubernetes gives this group itself"}},
		{"GRP-1: renaming to system:authenticated", []string{"dev: developers", `dev: "system:authenticated"`}, []string{"groupRules[0].rename[dev]: Kubernetes gives this group itself"}},
		{"renaming by pattern", []string{"dev: developers", `"dev*": developers`}, []string{"groupRules[0].rename[dev*]: whole name"}},
		{"renaming to itself", []string{"dev: developers", `dev: dev`}, []string{"groupRules[0].rename[dev]: to itself"}},
		{"renaming to nothing", []string{"dev: developers", `dev: ""`}, []string{"groupRules[0].rename[dev]: Required"}},

		// Records.
		{"access log over the token file", []string{"file: access.log", "file: tokens.csv"}, []string{"accessLog.file: would destroy it"}},
		{"access log in a missing folder", []string{"file: access.log", "file: no/access.log"}, []string{"accessLog.file: does not exist; create it"}},
		{"access log is a folder", []string{"file: access.log", "file: ."}, []string{"accessLog.file: is a folder"}},
		{"tracing without endpoint", []string{"  endpoint: https://collector:4318\n", ""}, []string{"tracing.endpoint: Required"}},
		{"tracing over another scheme", []string{"https://collector:4318", "grpc://collector:4318"}, []string{"tracing.endpoint: must start with https"}},
		{"tracing with a password", []string{"https://collector:4318", "https://a:hunter2@collector:4318"}, []string{"tracing.endpoint: must not hold a user name"}},
		{"tracing CA without TLS", []string{"https://collector:4318", "http://127.0.0.1:4318"}, []string{"tracing.certificateAuthorityFile: no effect"}},
		{"sampling beyond all", []string{"samplingPerMillion: 100", "samplingPerMillion: 1000001"}, []string{"tracing.samplingPerMillion: between 0 and 1000000"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			mistakes := refusal(t, folder(t, row.edits...))
			expect(t, mistakes, row.want...)
			for _, mistake := range mistakes {
				if strings.Contains(mistake, "hunter2") {
					t.Errorf("a password is in a message: %s", mistake)
				}
			}
		})
	}
}

func TestLoadReportsEverythingAtOnce(t *testing.T) {
	dir := folder(t,
		"keyFile: tls.key", "keyfile: tls.key",
		"https://10.0.0.1:6443", "http://10.0.0.1:6443",
		"maxLifetime: 24h", "maxLifetime: 1d",
		"audiences: [api]", "audiences: [api]\n  audiences: [api]",
		"add: [contractors]", `add: ""`,
		"10.0.0.0/8", "10.0.0.1/8")
	write(t, dir, "users-ca.crt", "nothing")
	expect(t, refusal(t, dir),
		": Duplicate field",
		"listen.tls.keyfile: unknown field",
		"listen.tls.keyFile: Required",
		"clusters[0].server: https",
		"authentication.clientCertificate.maxLifetime: duration",
		"authentication.clientCertificate.caFiles[0]: no certificate",
		"authentication.clientCertificate.allowedNetworks[0]: host bits",
		"groupRules[0].add: must be a list",
	)
	_, err := config.Load(filepath.Join(dir, "ostiary.yaml"))
	if got := len(strings.Split(err.Error(), "\n")); got != 8 {
		t.Errorf("the error has %d lines, want one for each of 8 mistakes:\n%s", got, err)
	}
	if want := "ostiary.yaml:10: clusters[0].server: "; !strings.Contains(err.Error(), want) {
		t.Errorf("the error does not contain %q:\n%s", want, err)
	}
}

func TestLoadRefusesWholeFiles(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"empty", "", ": is empty"},
		{"comment only", "# nothing\n", ": is empty"},
		{"a list", "- a\n", ": must be a mapping of fields"},
		{"a word", "ostiary\n", ": must be a mapping of fields"},
		{"binary", "\x00\x01", ": is not YAML"},
		{"an alias bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nkind: *d\n", ": is not YAML"},
		{"too large", strings.Repeat("#", config.MaxConfigurationBytes+1), ": is larger than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "ostiary.yaml", row.text)
			mistakes := refusal(t, dir)
			if len(mistakes) == 0 || !strings.Contains(mistakes[0], row.want) {
				t.Errorf("got %q, want %q", mistakes, row.want)
			}
		})
	}
}

func TestLoadRefusesContent(t *testing.T) {
	expired := func(template *x509.Certificate) *x509.Certificate {
		template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		return template
	}
	for _, row := range []struct {
		name  string
		files func(ca *configtest.Authority) map[string]string
		want  string
	}{
		{"empty CA bundle", func(*configtest.Authority) map[string]string { return map[string]string{"users-ca.crt": ""} }, "authentication.clientCertificate.caFiles[0]: is empty"},
		{"CA bundle cut off", func(ca *configtest.Authority) map[string]string {
			return map[string]string{"users-ca.crt": string(ca.PEM()) + string(ca.PEM()[:200])}
		}, "authentication.clientCertificate.caFiles[0]: PEM block 2 is damaged"},
		{"CA bundle damaged before a good certificate", func(ca *configtest.Authority) map[string]string {
			return map[string]string{"users-ca.crt": string(ca.PEM()[:200]) + "\n" + string(ca.PEM())}
		}, "authentication.clientCertificate.caFiles[0]: PEM block 1 is damaged"},
		{"CA bundle with nonsense in PEM", func(*configtest.Authority) map[string]string {
			return map[string]string{"users-ca.crt": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
		}, "authentication.clientCertificate.caFiles[0]: PEM block 1 is not a certificate"},
		{"G-30: front-proxy certificate expired", func(ca *configtest.Authority) map[string]string {
			cert, key := issue(t, ca, expired(configtest.Client("front-proxy-client")))
			return map[string]string{"front.crt": cert, "front.key": key}
		}, "clusters[0].identity.requestHeader.certFile: expired on"},
		{"attack 40: front-proxy certificate in system:masters", func(ca *configtest.Authority) map[string]string {
			cert, key := issue(t, ca, configtest.Client("front-proxy-client", "system:masters"))
			return map[string]string{"front.crt": cert, "front.key": key}
		}, "clusters[0].identity.requestHeader.certFile: in group system:masters"},
		{"encrypted key", func(*configtest.Authority) map[string]string {
			return map[string]string{"tls.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}
		}, "listen.tls.keyFile: passphrase"},
		{"attack 58: token file without tokens", func(*configtest.Authority) map[string]string {
			return map[string]string{"tokens.csv": "\n \n"}
		}, "authentication.staticToken.file: holds no tokens"},
		{"attack 58: token file shrunk to nothing", func(*configtest.Authority) map[string]string {
			return map[string]string{"tokens.csv": ""}
		}, "authentication.staticToken.file: is empty"},
		{"CFG-1: duplicate field in the AuthenticationConfiguration", func(*configtest.Authority) map[string]string {
			return map[string]string{"authentication-configuration.yaml": configtest.AuthenticationConfiguration + "kind: x\n"}
		}, "authentication.jwt.file: not strict YAML"},
		{"two AuthenticationConfigurations", func(*configtest.Authority) map[string]string {
			return map[string]string{"authentication-configuration.yaml": configtest.AuthenticationConfiguration + "---\n" + configtest.AuthenticationConfiguration}
		}, "authentication.jwt.file: more than one YAML document"},
		{"kubeconfig that is none", func(*configtest.Authority) map[string]string { return map[string]string{"gate.kubeconfig": "secret"} }, "clusters[1].identity.impersonation.kubeconfig: is not a kubeconfig"},
		{"kubeconfig without current-context", kubeconfig("current-context: gate", "current-context: ''"), "clusters[1].identity.impersonation.kubeconfig: has no current-context"},
		{"kubeconfig with a missing context", kubeconfig("current-context: gate", "current-context: x"), "clusters[1].identity.impersonation.kubeconfig: names a context that is not"},
		{"kubeconfig with a missing user", kubeconfig("user: gate,", "user: x,"), "clusters[1].identity.impersonation.kubeconfig: names a user that is not"},
		{"kubeconfig without a credential", kubeconfig("tokenFile: token", ""), "clusters[1].identity.impersonation.kubeconfig: no credential that the gate can use"},
		{"kubeconfig with a missing token file", kubeconfig("tokenFile: token", "tokenFile: missing"), "clusters[1].identity.impersonation.kubeconfig: token file missing, which cannot be read"},
		{"kubeconfig with a certificate and no key", kubeconfig("tokenFile: token", "client-certificate: tls.crt"), "clusters[1].identity.impersonation.kubeconfig: without its key"},
		{"kubeconfig with a missing certificate", kubeconfig("tokenFile: token", "client-certificate: no.crt, client-key: tls.key"), "clusters[1].identity.impersonation.kubeconfig: no.crt, which cannot be read"},
		{"kubeconfig that impersonates", kubeconfig("tokenFile: token", "tokenFile: token, as: root"), "clusters[1].identity.impersonation.kubeconfig: would replace the callers' identities"},
		{"kubeconfig that skips verification", kubeconfig(`"https://10.0.0.1:6443"`, `"https://10.0.0.1:6443", insecure-skip-tls-verify: true`), "clusters[1].identity.impersonation.kubeconfig: insecure-skip-tls-verify"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ca, err := configtest.NewAuthority("another-ca")
			if err != nil {
				t.Fatal(err)
			}
			dir := folder(t)
			for name, text := range row.files(ca) {
				write(t, dir, name, text)
			}
			expect(t, refusal(t, dir), row.want)
		})
	}
}

func kubeconfig(from, to string) func(*configtest.Authority) map[string]string {
	return func(*configtest.Authority) map[string]string {
		return map[string]string{"gate.kubeconfig": strings.Replace(configtest.Kubeconfig, from, to, 1)}
	}
}

func issue(t *testing.T, ca *configtest.Authority, template *x509.Certificate) (string, string) {
	t.Helper()
	cert, key, err := ca.Issue(template)
	if err != nil {
		t.Fatal(err)
	}
	return string(cert), string(key)
}

func TestLoadUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.yaml")
	_, err := config.Load(path)
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok || !strings.Contains(err.Error(), "cannot be read: no such file") {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{path}, invalid.Files()); diff != "" {
		t.Errorf("files to watch (-want +got):\n%s", diff)
	}
}

// A watcher must learn of the file that was missing, or the configuration stays refused after it appeared.
func TestRefusalNamesFilesToWatch(t *testing.T) {
	dir := folder(t, "caFiles: [users-ca.crt]", "caFiles: [new-ca.crt]")
	_, err := config.Load(filepath.Join(dir, "ostiary.yaml"))
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok || !slices.Contains(invalid.Files(), filepath.Join(dir, "new-ca.crt")) {
		t.Errorf("the missing file is not among those to watch: %v", err)
	}
}

func TestFilesAreListedOnce(t *testing.T) {
	dir := folder(t, "file: authentication-configuration.yaml", "file: ostiary.yaml")
	_, err := config.Load(filepath.Join(dir, "ostiary.yaml"))
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	listed := slices.Sorted(slices.Values(invalid.Files()))
	if diff := cmp.Diff(slices.Compact(slices.Clone(listed)), listed); diff != "" {
		t.Errorf("files are listed twice (-once +listed):\n%s", diff)
	}
}

// The gate's own client certificate is watched, and its change makes a new connection to the cluster.
func TestKubeconfigWithCertificate(t *testing.T) {
	dir := folder(t)
	key := filepath.Join(dir, "alice.key")
	write(t, dir, "gate.kubeconfig", strings.Replace(configtest.Kubeconfig, "tokenFile: token", "client-certificate: alice.crt, client-key: "+key, 1))
	before := load(t, dir)
	for _, name := range []string{filepath.Join(dir, "alice.crt"), key} {
		if !slices.Contains(before.Files(), name) {
			t.Errorf("%s is not watched", name)
		}
	}
	write(t, dir, "alice.crt", "renewed")
	if load(t, dir).Clusters[1].Digest == before.Clusters[1].Digest {
		t.Error("a renewed certificate left the digest as it was")
	}
}

func TestBundlePEM(t *testing.T) {
	dir := folder(t)
	written, err := os.ReadFile(filepath.Join(dir, "users-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(written), string(load(t, dir).ClientCertificate.Authorities.PEM())); diff != "" {
		t.Errorf("the bundle's PEM (-written +got):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	ca, err := configtest.NewAuthority("ca")
	if err != nil {
		t.Fatal(err)
	}
	template := configtest.Server()
	template.NotBefore, template.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	expiredCert, expiredKey := issue(t, ca, template)
	namelessTemplate := configtest.Server()
	namelessTemplate.DNSNames, namelessTemplate.IPAddresses = nil, nil
	namelessCert, namelessKey := issue(t, ca, namelessTemplate)
	leaf, _ := issue(t, ca, configtest.Server())

	for _, row := range []struct {
		name  string
		files map[string]string
		mode  fs.FileMode
		edits []string
		want  string
	}{
		{name: "nothing to warn of", mode: 0o600},
		{name: "key readable by all", mode: 0o644, want: "listen.tls.keyFile: mode 0644, so others can read it"},
		{name: "key readable by the group", mode: 0o640, want: "listen.tls.keyFile: mode 0640"},
		{name: "server certificate expired", mode: 0o600, files: map[string]string{"tls.crt": expiredCert, "tls.key": expiredKey}, want: "listen.tls.certFile: expired on"},
		{name: "server certificate without names", mode: 0o600, files: map[string]string{"tls.crt": namelessCert, "tls.key": namelessKey}, want: "listen.tls.certFile: no subject alternative name"},
		{name: "leaf in a CA bundle", mode: 0o600, files: map[string]string{"users-ca.crt": leaf}, want: "authentication.clientCertificate.caFiles[0]: is not a CA"},
		{name: "rule for a mechanism that is off", mode: 0o600, edits: []string{"    file: tokens.csv\n    allowClearText: true\n", "", "  staticToken:\n", "", "mechanisms: [jwt]", "mechanisms: [staticToken]"}, want: "groupRules[0].match.mechanisms[0]: not on"},
		{name: "rule that adds system:masters", mode: 0o600, edits: []string{"add: [contractors]", `add: ["system:masters"]`}, want: "groupRules[0].add[0]: RBAC cannot take that away"},
		{name: "traces in clear", mode: 0o600, edits: []string{"  certificateAuthorityFile: cluster-ca.crt\n  samplingPerMillion", "  samplingPerMillion", "https://collector", "http://collector"}, want: "tracing.endpoint: clear text"},
		{name: "rule for anonymous callers, who are off", mode: 0o600, edits: []string{"  anonymous:\n    paths: [/livez, /readyz]\n", "", "mechanisms: [jwt]", "mechanisms: [anonymous]"}, want: "groupRules[0].match.mechanisms[0]: not on"},
		{name: "rule for anonymous callers, who are on by the AuthenticationConfiguration", mode: 0o600, files: map[string]string{"authentication-configuration.yaml": configtest.AuthenticationConfiguration + "anonymous: {enabled: true}\n"}, edits: []string{"  anonymous:\n    paths: [/livez, /readyz]\n", "", "mechanisms: [jwt]", "mechanisms: [anonymous]"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := folder(t, row.edits...)
			for name, text := range row.files {
				write(t, dir, name, text)
			}
			if err := os.Chmod(filepath.Join(dir, "tls.key"), row.mode); err != nil {
				t.Fatal(err)
			}
			var warnings []string
			for _, warning := range load(t, dir).Warnings {
				warnings = append(warnings, warning.Path+": "+warning.Message)
			}
			if row.want == "" {
				expect(t, warnings)
			} else {
				expect(t, warnings, row.want)
			}
		})
	}
}

// Reload keeps the parts whose digest did not change, so a digest must follow its own files and settings, and only them.
func TestDigests(t *testing.T) {
	digests := func(c *config.Checked) map[string]string {
		return map[string]string{
			"tls": c.Listen.TLS.Digest.String(), "prod": c.Clusters[0].Digest.String(), "test": c.Clusters[1].Digest.String(),
			"clientCertificate": c.ClientCertificate.Digest.String(), "staticToken": c.StaticToken.Digest.String(),
			"jwt": c.JWT.Digest.String(), "anonymous": c.Anonymous.Digest.String(), "tracing": c.Tracing.Digest.String(),
			"all": c.Digest.String(),
		}
	}
	ca, err := configtest.NewAuthority("new-ca")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		edits []string
		files map[string]string
		want  []string
	}{
		{"nothing", nil, nil, nil},
		{"token file", nil, map[string]string{"tokens.csv": "0123456789abcdef0123456789abcdee,bob,u2\n"}, []string{"all", "staticToken"}},
		{"issuers", nil, map[string]string{"authentication-configuration.yaml": configtest.AuthenticationConfiguration + "# changed\n"}, []string{"all", "jwt"}},
		{"users' CA", nil, map[string]string{"users-ca.crt": string(ca.PEM())}, []string{"all", "clientCertificate"}},
		{"cluster CA", nil, map[string]string{"cluster-ca.crt": string(ca.PEM())}, []string{"all", "prod", "test", "tracing"}},
		{"kubeconfig", nil, map[string]string{"gate.kubeconfig": configtest.Kubeconfig + "# changed\n"}, []string{"all", "test"}},
		{"lifetime", []string{"maxLifetime: 24h", "maxLifetime: 23h"}, nil, []string{"all", "clientCertificate"}},
		{"system names", []string{`"system:serviceaccount:*"`, `"system:node:*"`}, nil, []string{"all", "jwt"}},
		{"anonymous paths", []string{"/livez, ", ""}, nil, []string{"all", "anonymous"}},
		{"server name", []string{"tlsServerName: kubernetes", "tlsServerName: localhost"}, nil, []string{"all", "test"}},
		{"comment", []string{"admin:", "# comment\nadmin:"}, nil, []string{"all"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := folder(t)
			before := digests(load(t, dir))
			rewrite(t, dir, row.edits...)
			for name, text := range row.files {
				write(t, dir, name, text)
			}
			after := digests(load(t, dir))
			var changed []string
			for part := range before {
				if before[part] != after[part] {
					changed = append(changed, part)
				}
			}
			slices.Sort(changed)
			if diff := cmp.Diff(row.want, changed); diff != "" {
				t.Errorf("changed digests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDemandsAbsoluteFolder(t *testing.T) {
	if _, err := config.Parse([]byte(configtest.Example()), "x", "relative", time.Now()); err == nil {
		t.Error("a relative folder was accepted")
	}
}
