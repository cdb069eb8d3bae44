package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/testca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far above what anything here takes; only a broken server needs it.
const patience = 2 * time.Minute

// token is alice's, strong enough to be hashed.
const token = "4f2a9c1be07d35684f6d0e9a7bc3518240ddba96c7e31f58"

// bed is a folder with everything that a configuration names, and an API server that says whom it sees.
type bed struct {
	dir   string
	users *testca.CA
	api   *httptest.Server
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{dir: t.TempDir(), users: testca.New(t, "users")}
	b.api = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"user": r.Header.Get("X-Remote-User"), "groups": r.Header["X-Remote-Group"], "headers": r.Header})
	}))
	t.Cleanup(b.api.Close)
	b.write(t, "api-ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.api.Certificate().Raw}))
	b.write(t, "users-ca.crt", b.users.PEM())
	front := testca.New(t, "front")
	for name, certificate := range map[string]tls.Certificate{
		"front": front.Issue(t, testca.Subject("front-proxy")),
		"tls":   testca.New(t, "serving").Issue(t, testca.Subject("gate"), testca.Usage(x509.ExtKeyUsageServerAuth)),
	} {
		chain, key := testca.PEM(t, certificate)
		b.write(t, name+".crt", chain)
		b.write(t, name+".key", key)
	}
	b.write(t, "tokens.csv", []byte(token+",alice,7,dev\n"))
	b.configure(t, "")
	return b
}

func (b *bed) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// configure writes the configuration, with more at its end.
func (b *bed) configure(t *testing.T, more string) {
	t.Helper()
	b.write(t, "ostiary.yaml", []byte(`apiVersion: ostiary.dev/v1alpha1
kind: Configuration
listen: {address: "127.0.0.1:0", tls: {certFile: tls.crt, keyFile: tls.key}, drainTimeout: 5s}
admin: {address: "127.0.0.1:0"}
clusters:
- name: prod
  server: `+b.api.URL+`
  certificateAuthorityFile: api-ca.crt
  identity: {requestHeader: {certFile: front.crt, keyFile: front.key}}
authentication:
  clientCertificate: {caFiles: [users-ca.crt]}
  staticToken: {file: tokens.csv, allowClearText: true}
`+more))
}

// lines keeps a log and wakes those who wait for a line of it.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

// await returns the first line that holds all words, from the offset on, and the offset behind it.
func (l *lines) await(t *testing.T, from int, words ...string) (line string, next int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		at, text, changed := from, l.text.String(), l.changed
		l.mu.Unlock()
		for line := range strings.Lines(text[from:]) {
			at += len(line)
			found := true
			for _, word := range words {
				found = found && strings.Contains(line, word)
			}
			if found {
				return line, at
			}
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no line with %q in:\n%s", words, text)
		}
	}
}

// running is a server under test.
type running struct {
	url, admin  string
	log, access *lines
	stop        func() error
}

func start(t *testing.T, b *bed) *running {
	t.Helper()
	r := &running{log: &lines{changed: make(chan struct{})}, access: &lines{changed: make(chan struct{})}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{ConfigFile: filepath.Join(b.dir, "ostiary.yaml"), Version: "v1", Logger: slog.New(slog.NewJSONHandler(r.log, nil)), AccessLog: r.access})
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	for name, target := range map[string]*string{"gate": &r.url, "admin": &r.admin} {
		line, _ := r.log.await(t, 0, `"listening"`, `"`+name+`"`)
		var parsed struct{ Address string }
		if err := json.Unmarshal([]byte(line), &parsed); err != nil {
			t.Fatal(err)
		}
		*target = parsed.Address
	}
	return r
}

// get asks with a bearer token.
func get(t *testing.T, url, bearer string) (status int, content string) {
	t.Helper()
	return ask(t, url, http.Header{"Authorization": {"Bearer " + bearer}})
}

// ask asks over a connection of its own.
func ask(t *testing.T, url string, header http.Header) (status int, content string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestServeReloadAndStop(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := start(t, b)
	if status, content := get(t, "https://"+s.url+"/api", token); status != http.StatusOK || !strings.Contains(content, `"alice"`) || strings.Contains(content, "on-call") {
		t.Fatalf("%d %s", status, content)
	}
	s.access.await(t, 0, `"alice"`, `"allow"`)

	// A good change is in force, and says so.
	b.configure(t, "groupRules: [{name: on-call, match: {users: [alice]}, add: [on-call]}]\n")
	_, at := s.log.await(t, 0, "configuration reloaded")
	if _, content := get(t, "https://"+s.url+"/api", token); !strings.Contains(content, "on-call") {
		t.Errorf("the group rule is not in force: %s", content)
	}

	// A bad one is refused, and nothing is lost.
	b.configure(t, "groupRules: [{name: on-call}]\nunknown: true\n")
	_, at = s.log.await(t, at, "last good one stays in force", "unknown")
	if _, content := get(t, "https://"+s.url+"/api", token); !strings.Contains(content, "on-call") {
		t.Errorf("the last good configuration is not in force: %s", content)
	}
	if _, metrics := get(t, "http://"+s.admin+"/metrics", ""); !strings.Contains(metrics, `ostiary_config_reloads_total{result="failure"} 1`) {
		t.Error("the failure is not counted")
	}

	// What only a restart can bring is refused as such.
	b.configure(t, "tracing: {endpoint: \"http://127.0.0.1:1\"}\n")
	_, at = s.log.await(t, at, "take effect at a restart only")

	// A token that is taken away lets nobody in any more.
	b.configure(t, "")
	_, at = s.log.await(t, at, "configuration reloaded")
	b.write(t, "tokens.csv", []byte(strings.Repeat("5", 10)+token+",bob,8\n"))
	s.log.await(t, at, "configuration reloaded")
	if status, _ := get(t, "https://"+s.url+"/api", token); status != http.StatusUnauthorized {
		t.Errorf("a token that was taken away: %d", status)
	}

	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.log.await(t, 0, "stopped")
}

// TestForgedHeadersOfTheClustersOwnNames is attack 7: an API server that takes users from further headers must not get them
// from clients.
func TestForgedHeadersOfTheClustersOwnNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, identity, seen string }{
		{name: "named in the configuration", identity: "stripHeaders: [X-Auth-User], stripHeaderPrefixes: [X-Auth-Extra-]"},
		{name: "twin: not named", identity: "stripHeaders: [X-Other]", seen: "Admin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			text, err := os.ReadFile(filepath.Join(b.dir, "ostiary.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			b.write(t, "ostiary.yaml", bytes.Replace(text, []byte("keyFile: front.key"), []byte("keyFile: front.key, "+tt.identity), 1))
			s := start(t, b)
			status, content := ask(t, "https://"+s.url+"/api", http.Header{
				"Authorization": {"Bearer " + token}, "x_auth_user": {"Admin"}, "X-Auth-User": {"Admin"}, "X-Auth-Extra-Scope": {"Admin"},
			})
			if status != http.StatusOK || strings.Contains(content, "Admin") != (tt.seen != "") {
				t.Errorf("%d %s", status, content)
			}
		})
	}
}

func TestReadinessFollowsTheCluster(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := start(t, b)
	await := func(want int) (content string) {
		deadline := time.Now().Add(patience)
		for {
			status, content := get(t, "http://"+s.admin+"/readyz", "")
			if status == want {
				return content
			}
			if time.Now().After(deadline) {
				t.Fatalf("readyz says %d %s, want %d", status, content, want)
			}
		}
	}
	await(http.StatusOK)
	b.api.Close()
	if content := await(http.StatusServiceUnavailable); !strings.Contains(content, "cluster prod") {
		t.Errorf("readyz does not say what is missing: %s", content)
	}
	if status, content := get(t, "https://"+s.url+"/api", token); status != http.StatusServiceUnavailable || !strings.Contains(content, `"Status"`) {
		t.Errorf("a cluster that is gone: %d %s", status, content)
	}
	if status, _ := get(t, "http://"+s.admin+"/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz says %d: the process lives", status)
	}
}

// TestUnchangedPartsAreKept: a reload must not void what is remembered on connections, nor drop connections to clusters.
func TestUnchangedPartsAreKept(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	load := func() *config.Checked {
		checked, err := config.Load(filepath.Join(b.dir, "ostiary.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return checked
	}
	logger := slog.New(slog.DiscardHandler)
	first, err := build(t.Context(), load(), nil, nil, nil, authn.Unguarded(), logger)
	if err != nil {
		t.Fatal(err)
	}
	b.configure(t, "groupRules: [{name: on-call, add: [on-call]}]\n")
	second, err := build(t.Context(), load(), first, nil, nil, authn.Unguarded(), logger)
	if err != nil {
		t.Fatal(err)
	}
	if first.certificates != second.certificates || first.clusters[0] != second.clusters[0] {
		t.Error("parts that did not change were made anew")
	}
	b.write(t, "users-ca.crt", testca.New(t, "others").PEM())
	third, err := build(t.Context(), load(), second, nil, nil, authn.Unguarded(), logger)
	if err != nil {
		t.Fatal(err)
	}
	if third.certificates == second.certificates || third.clusters[0] != second.clusters[0] {
		t.Error("twin: a changed CA must make the mechanism anew, and nothing else")
	}
}

func TestBuildReportsEveryMistake(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.write(t, "tokens.csv", []byte("not,enough\n"))
	b.write(t, "jwt.yaml", []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: [{}]\n"))
	b.configure(t, "  jwt: {file: jwt.yaml}\n")
	checked, err := config.Load(filepath.Join(b.dir, "ostiary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	err = Validate(t.Context(), checked, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "staticToken") || !strings.Contains(err.Error(), "jwt") {
		t.Errorf("not every mistake is named: %v", err)
	}
}
