package fromapiserver_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/fromapiserver"
)

// elsewhere stands for a machine that has none of the API server's files.
func elsewhere(string) ([]byte, error) { return nil, fs.ErrNotExist }

func TestConvertRefuses(t *testing.T) {
	dir := controlPlane(t)
	if err := os.WriteFile(filepath.Join(dir, "list.yaml"), []byte("- a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const pod = "kind: Pod\nspec: {containers: [{name: kube-apiserver, command: [kube-apiserver, %s]}]}"
	for _, row := range []struct {
		name, input string
		want        []string
	}{
		{"nothing", "", []string{"neither the manifest"}},
		{"prose", "hello world", []string{"neither the manifest"}},
		{"another kind", "kind: Deployment\n", []string{"neither the manifest"}},
		{"ConfigMap of something else", "kind: ConfigMap\ndata: {a: b}\n", []string{"neither the manifest"}},
		{"broken YAML", "kind: [Pod\n", []string{"neither flags nor YAML"}},
		{"too large", strings.Repeat("#", apiserverflags.MaxInputBytes+1), []string{"larger than"}},
		{"Pod of something else", "kind: Pod\nspec: {containers: [{name: etcd, command: [etcd]}]}", []string{"no container of the Pod runs kube-apiserver"}},
		{"Pod without flags", strings.Replace(pod, ", %s", "", 1), []string{"holds no flags"}},
		{"Pod that is not one", "kind: Pod\nspec: [1]\n", []string{"reading the Pod"}},
		{"another group's ClusterConfiguration", "apiVersion: x/v1\nkind: ClusterConfiguration\n", []string{`is of "x/v1"`}},
		{"bad kubeadm argument", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer: {extraArgs: [{name: a=b, value: c}]}", []string{"not the name of a flag"}},
		{"kubeadm merge into nothing", "apiVersion: kubeadm.k8s.io/v1\nkind: ClusterConfiguration\napiServer: {extraArgs: [{name: x, value: z, mergeMethod: append}]}", []string{"merges into --x"}},
		{"kubeadm merge in a third way", "apiVersion: kubeadm.k8s.io/v1\nkind: ClusterConfiguration\napiServer: {extraArgs: [{name: secure-port, value: z, mergeMethod: around}]}", []string{"append or prepend"}},
		{"unclosed quote", "--client-ca-file='/ca.crt", []string{"close the quotes"}},
		{"slip of the pen", "--client-ca-file=/ca.crt --oidc-isuer-url=https://a --token_auth_fil=/t", []string{"--oidc-isuer-url is not a flag", "--token-auth-fil is not a flag"}},
		{"value without flag", "--client-ca-file=/ca.crt bogus", []string{`"bogus" is not a flag`}},
		{"unquoted blank", "--client-ca-file=/ca.crt --oidc-issuer-url=https://a --oidc-client-id=a b", []string{`"b" is not a flag`}},
		{"flag without value", "--client-ca-file", []string{"flag needs an argument"}},
		{"truth value that is none", "--client-ca-file=/ca.crt --anonymous-auth=maybe", []string{"invalid argument"}},
		{"help", "--help", []string{"help requested"}},
		{"required claim without value", "--oidc-issuer-url=https://a --oidc-client-id=b --oidc-required-claim=hd", []string{"malformed pair"}},
		{"shell variable", "--client-ca-file=$CA_FILE", []string{"--client-ca-file=$CA_FILE holds a variable"}},
		{"shell variable in braces", "--oidc-issuer-url=https://${HOST} --oidc-client-id=a", []string{"holds a variable"}},
		{"shell command", "--client-ca-file=`pwd`/ca.crt", []string{"holds a variable"}},
		{"kubelet variable", strings.Replace(pod, "%s", "--client-ca-file=$(CA)", 1), []string{"--client-ca-file=$(CA) holds a variable"}},
		{"OIDC without client", "--oidc-issuer-url=https://a", []string{"--oidc-issuer-url and --oidc-client-id"}},
		{"OIDC flag alone", "--client-ca-file=/ca.crt --oidc-groups-claim=g", []string{"--oidc-issuer-url and --oidc-client-id"}},
		{"OIDC flags and file", "--authentication-config=/a.yaml --oidc-issuer-url=https://a --oidc-client-id=b", []string{"exclude each other"}},
		{"ANON-3: anonymous flag and section", "--authentication-config=DIR/config.yaml --anonymous-auth=true", []string{"ANON-3"}},
		{"authentication-config that is none", "--authentication-config=DIR/list.yaml", []string{"not an AuthenticationConfiguration"}},
		{"certificate without key", "--client-ca-file=/ca.crt --tls-cert-file=/a.crt --proxy-client-key-file=/b.key", []string{"--tls-private-key-file go together", "--proxy-client-key-file go together"}},
		{"address that is none", "--client-ca-file=/ca.crt --bind-address=localhost --advertise-address=10.0.0.1:6443", []string{"--bind-address", "--advertise-address"}},
		{"port out of range", "--client-ca-file=/ca.crt --secure-port=0", []string{"from 1 to 65535"}},
		{"no mechanism at all", "--anonymous-auth=false --service-account-issuer=https://a", []string{"no mechanism that is taken over"}},
		{"ANON-2: anonymous as the only mechanism with AlwaysAllow", "--anonymous-auth=true", []string{"no mechanism that is taken over"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			result, err := fromapiserver.Convert([]byte(strings.ReplaceAll(row.input, "DIR", dir)), os.ReadFile)
			if err == nil {
				t.Fatalf("accepted, with\n%s", result.YAML)
			}
			for _, part := range row.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not contain %q:\n%s", part, err)
				}
			}
		})
	}
}

// decoded converts and returns what was written.
func decoded(t *testing.T, flags string, readFile fromapiserver.ReadFile) (*config.Configuration, string) {
	t.Helper()
	result, err := fromapiserver.Convert([]byte(flags), readFile)
	if err != nil {
		t.Fatal(err)
	}
	written, err := config.Decode(result.YAML)
	if err != nil {
		t.Fatal(err)
	}
	return written, strings.Join(result.Warnings, "\n")
}

func TestUsernamePrefix(t *testing.T) {
	const flags = "--oidc-issuer-url=https://idp.example --oidc-client-id=a "
	for _, row := range []struct{ name, flags, claim, prefix string }{
		{"default", "", "sub", "https://idp.example#"},
		{"other claim", "--oidc-username-claim=name", "name", "https://idp.example#"},
		{"e-mail", "--oidc-username-claim=email", "email", ""},
		{"e-mail with prefix", "--oidc-username-claim=email --oidc-username-prefix=x:", "email", "x:"},
		{"none by dash", "--oidc-username-prefix=-", "sub", ""},
		{"e-mail, none by dash", "--oidc-username-claim=email --oidc-username-prefix=-", "email", ""},
		{"empty flag", "--oidc-username-prefix=", "sub", "https://idp.example#"},
		{"written", "--oidc-username-prefix=oidc:", "sub", "oidc:"},
		{"attack 46: double dash is a prefix", "--oidc-username-prefix=--", "sub", "--"},
		{"last one wins", "--oidc-username-prefix=a: --oidc-username-prefix b:", "sub", "b:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			written, _ := decoded(t, flags+row.flags, elsewhere)
			var got struct {
				JWT []struct {
					ClaimMappings struct {
						Username struct{ Claim, Prefix string }
						Groups   *struct{}
					}
				}
			}
			if err := json.Unmarshal(written.Authentication.JWT.Configuration.JSON(), &got); err != nil {
				t.Fatal(err)
			}
			mappings := got.JWT[0].ClaimMappings
			if mappings.Username.Claim != row.claim || mappings.Username.Prefix != row.prefix || mappings.Groups != nil {
				t.Errorf("got %+v, want claim %q, prefix %q and no groups", mappings, row.claim, row.prefix)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	dir := controlPlane(t)
	for _, row := range []struct {
		name, flags string
		want        *config.Anonymous
		warning     string
	}{
		{"off", "--anonymous-auth=false --authorization-mode=RBAC", nil, ""},
		{"ANON-2: AlwaysAllow", "--authorization-mode=RBAC,AlwaysAllow", nil, "ANON-2"},
		{"ANON-2: AlwaysAllow by default", "", nil, "ANON-2"},
		{"ANON-3: the file's own section decides", "--authorization-mode=RBAC --authentication-config=" + dir + "/config.yaml", nil, ""},
		{"ANON-3: the file's own section turns it off", "--authorization-mode=RBAC --authentication-config=" + dir + "/off.yaml", nil, ""},
		{"file that cannot be read", "--authorization-mode=RBAC --authentication-config=/no.yaml", nil, "kube-apiserver lets anonymous callers in and Ostiary will not"},
		{"by default", "--authorization-mode=RBAC", &config.Anonymous{}, ""},
		{"by default, authorization in a file", "--authorization-config=/authz.yaml", &config.Anonymous{}, ""},
		{"flag without value", "--authorization-mode=RBAC --anonymous-auth=false --anonymous-auth", &config.Anonymous{}, ""},
		{"file that cannot be read, flag", "--authorization-mode=RBAC --anonymous-auth=true --authentication-config=/no.yaml", &config.Anonymous{}, ""},
		{"file without a section", "--authorization-mode=RBAC --authentication-config=" + dir + "/plain.yaml", &config.Anonymous{}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			written, warnings := decoded(t, "--client-ca-file=/ca.crt "+row.flags, os.ReadFile)
			if diff := cmp.Diff(row.want, written.Authentication.Anonymous); diff != "" {
				t.Errorf("anonymous (-want +got):\n%s", diff)
			}
			if row.warning != "" && !strings.Contains(warnings, row.warning) || row.warning == "" && strings.Contains(warnings, "anonym") {
				t.Errorf("want a warning with %q, got:\n%s", row.warning, warnings)
			}
		})
	}
}

func TestWarnsOfWhatItCannotSee(t *testing.T) {
	for _, row := range []struct{ name, input, want string }{
		{"OIDC CA that cannot be read", "--oidc-issuer-url=https://a --oidc-client-id=b --oidc-ca-file=/idp.crt", `--oidc-ca-file="/idp.crt" cannot be taken over`},
		{"relative name", "--client-ca-file=pki/ca.crt", "relative to the folder in which kube-apiserver runs"},
		{"no front proxy", "--client-ca-file=/ca.crt", "there is no --proxy-client-cert-file"},
		{"no request header CA", "--client-ca-file=/ca.crt", "there is no --requestheader-client-ca-file"},
		{"attack 39: one CA", "--client-ca-file=/ca.crt --requestheader-client-ca-file=/ca.crt", "are one file"},
		{"attack 38: no allowed names", "--client-ca-file=/ca.crt --requestheader-client-ca-file=/front.crt", "--requestheader-allowed-names is empty"},
		{"no serving certificate", "--client-ca-file=/ca.crt", "there is no --tls-cert-file"},
		{"variable address", "kind: Pod\nspec: {containers: [{name: kube-apiserver, args: [--client-ca-file=/ca.crt, --advertise-address=$(HOST_IP)]}]}", "correct clusters[0].server"},
		{"file of the image", "kind: Pod\nspec: {containers: [{name: kube-apiserver, args: [--client-ca-file=/ca.crt], volumeMounts: [{name: a, mountPath: /a}]}], volumes: [{name: a, hostPath: {path: /b}}]}", "in no folder that the pod shares with its host"},
		{"webhook", "--client-ca-file=/ca.crt --authentication-token-webhook-config-file=/w", "tokens that a webhook judges"},
		{"bootstrap", "--client-ca-file=/ca.crt --enable-bootstrap-token-auth", "bootstrap tokens"},
		{"ServiceAccounts, always", "--client-ca-file=/ca.crt", "ServiceAccount tokens, so pods"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, warnings := decoded(t, row.input, elsewhere); !strings.Contains(warnings, row.want) {
				t.Errorf("no warning with %q in:\n%s", row.want, warnings)
			}
		})
	}
}

func TestFileNamesOfTheHost(t *testing.T) {
	const pod = `kind: Pod
spec:
  containers:
  - name: kube-apiserver
    args: [--client-ca-file=NAME]
    volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /a/b/}, {name: c, mountPath: /a/c, subPath: sub}, {name: f, mountPath: /f.crt}, {name: secret, mountPath: /secret}]
  volumes: [{name: a, hostPath: {path: /host/a}}, {name: b, hostPath: {path: /host/b}}, {name: c, hostPath: {path: /host/c}}, {name: f, hostPath: {path: /host/f.crt}}, {name: secret, secret: {}}]
`
	for _, row := range []struct{ name, file, want string }{
		{"in no mount", "/other/ca.crt", "/other/ca.crt"},
		{"beside a mount of a similar name", "/ab/ca.crt", "/ab/ca.crt"},
		{"out of a mount by dots", "/a/../etc/ca.crt", "/etc/ca.crt"},
		{"in a volume that is not the host's", "/secret/ca.crt", "/secret/ca.crt"},
		{"in a mount", "/a/x/ca.crt", "/host/a/x/ca.crt"},
		{"in a mount within a mount", "/a/b/ca.crt", "/host/b/ca.crt"},
		{"in a mounted part of a volume", "/a/c/ca.crt", "/host/c/sub/ca.crt"},
		{"a mounted file", "/f.crt", "/host/f.crt"},
	} {
		t.Run(row.name, func(t *testing.T) {
			written, warnings := decoded(t, strings.Replace(pod, "NAME", row.file, 1), elsewhere)
			if got := written.Authentication.ClientCertificate.CAFiles[0]; got != row.want {
				t.Errorf("%s is %s on the host, want %s", row.file, got, row.want)
			}
			if warned := strings.Contains(warnings, "in no folder that the pod shares"); warned == strings.HasPrefix(row.want, "/host/") {
				t.Errorf("warned of a file that the host does not have: %t", warned)
			}
		})
	}
}

// Without the CA's content any CA of the host would be trusted, so the stand-in must be one that nothing accepts.
func TestUnreadableIssuerAuthorityFailsClosed(t *testing.T) {
	written, _ := decoded(t, "--oidc-issuer-url=https://a --oidc-client-id=b --oidc-ca-file=/idp.crt", elsewhere)
	var got struct {
		JWT []struct {
			Issuer struct{ CertificateAuthority string }
		}
	}
	if err := json.Unmarshal(written.Authentication.JWT.Configuration.JSON(), &got); err != nil {
		t.Fatal(err)
	}
	if ca := got.JWT[0].Issuer.CertificateAuthority; ca == "" || strings.Contains(ca, "BEGIN") {
		t.Errorf("the stand-in is %q", ca)
	}
}

// FuzzConvert holds Convert to: never panic; what is written reads back strictly (Convert itself reports if not); no
// line of outside text can leave its comment.
func FuzzConvert(f *testing.F) {
	inputs, err := filepath.Glob("testdata/*.in")
	if err != nil {
		f.Fatal(err)
	}
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("--oidc-issuer-url=https://a --oidc-client-id='\n- x: \"y\"\n# z' --oidc-ca-file='a\nb: c' --oidc-signing-algs='x\n\ry'"))
	f.Fuzz(func(t *testing.T, input []byte) {
		result, err := fromapiserver.Convert(input, elsewhere)
		if err != nil {
			if strings.Contains(err.Error(), "please report this") {
				t.Fatal(err)
			}
			return
		}
		written, err := config.Decode(result.YAML)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := written.YAML(nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Decode(plain)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := json.Marshal(written)
		b, errB := json.Marshal(again)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(a), string(b)); diff != "" {
			t.Fatalf("comments change the meaning (-with +without):\n%s", diff)
		}
	})
}
