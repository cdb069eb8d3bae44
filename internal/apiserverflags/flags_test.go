package apiserverflags_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/apiserverflags"
)

func TestParse(t *testing.T) {
	t.Parallel()

	for _, row := range []struct {
		name, input string
		want        apiserverflags.Values
	}{
		{
			"a list of flags", "--anonymous-auth=false\n--authorization_mode=Node,RBAC\n--etcd-servers=https://root:hunter2@etcd:2379\n--v=4\n",
			apiserverflags.Values{"anonymous-auth": {"false"}, "authorization-mode": {"Node", "RBAC"}},
		},
		{
			"repeated flags", "kube-apiserver --service-account-issuer=https://a --service-account-issuer https://b --token-auth-file=a --token-auth-file=b --service-account-lookup",
			apiserverflags.Values{"service-account-issuer": {"https://a", "https://b"}, "token-auth-file": {"b"}, "service-account-lookup": {"true"}},
		},
		{
			"the manifest of a pod", `
kind: Pod
spec: {containers: [{name: kube-apiserver, command: [kube-apiserver, --service-account-max-token-expiration=24h, "--requestheader-allowed-names="]}]}`,
			apiserverflags.Values{"service-account-max-token-expiration": {"24h0m0s"}, "requestheader-allowed-names": {}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			source, err := apiserverflags.Read([]byte(row.input))
			if err != nil {
				t.Fatal(err)
			}
			got, err := apiserverflags.Parse(source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()

	source, err := apiserverflags.Read([]byte("--anonymous-auth=perhaps"))
	if err != nil {
		t.Fatal(err)
	}
	if values, err := apiserverflags.Parse(source); err == nil {
		t.Errorf("read %v, want an error", values)
	}
}

func TestFromEffective(t *testing.T) {
	t.Parallel()

	got := apiserverflags.FromEffective(map[string]string{
		"anonymous-auth": "true", "api-audiences": "[]", "authorization-mode": "[Node,RBAC]", "etcd-servers": "[https://etcd]",
		"authentication-token-webhook-cache-ttl": "2m0s", "oidc-required-claim": "",
	})
	want := apiserverflags.Values{
		"anonymous-auth": {"true"}, "api-audiences": {}, "authorization-mode": {"Node", "RBAC"},
		"authentication-token-webhook-cache-ttl": {"2m0s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if ttl := got.Duration("authentication-token-webhook-cache-ttl", time.Hour); ttl != 2*time.Minute {
		t.Errorf("cache ttl %v, want 2m", ttl)
	}
	if ttl := got.Duration("not-there", time.Hour); ttl != time.Hour {
		t.Errorf("a flag that is not there: %v, want the default", ttl)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("--anonymous-auth=false\n--authorization_mode=Node,RBAC"))
	f.Add([]byte("kind: Pod\nspec: {containers: [{name: kube-apiserver, command: [kube-apiserver, --v=1]}]}"))
	f.Add([]byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer: {extraArgs: [{name: v, value: '1'}]}"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		source, err := apiserverflags.Read(data)
		if err != nil {
			return
		}
		_, _ = apiserverflags.Parse(source)
		_, _ = source.OnHost("/etc/kubernetes/pki/ca.crt")
	})
}
