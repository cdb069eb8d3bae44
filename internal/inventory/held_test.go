package inventory_test

import (
	"testing"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/inventory"
)

// TestHeldTokens: what a kubeconfig holds is listed whatever it is, each of several; what is listed where it comes from is not listed twice.
func TestHeldTokens(t *testing.T) {
	t.Parallel()

	f := world()
	f.APIServers[0].StaticTokens.Entries[0].Token.Digest = "of bob"
	f.BootstrapTokens = []facts.BootstrapToken{{Namespace: "kube-system", Name: "bootstrap-token-abcdef", ID: "abcdef", ValuesRead: true, Token: facts.Token{Digest: "of a node"}}}
	held := func(name string, token facts.HeldToken) facts.KubeconfigUser {
		return facts.KubeconfigUser{Name: name, Token: &token}
	}
	f.Kubeconfigs = []facts.Kubeconfig{{File: facts.File{Path: "/etc/kubernetes/config", State: facts.Read}, Users: []facts.KubeconfigUser{
		held("bob", facts.HeldToken{Token: facts.Token{Digest: "of bob"}}),
		held("node", facts.HeldToken{Token: facts.Token{Digest: "of a node"}}),
		held("stranger", facts.HeldToken{Token: facts.Token{Digest: "of nobody"}}),
		held("carol", facts.HeldToken{JWT: true, Issuer: "https://idp", Subject: "carol"}),
		held("dave", facts.HeldToken{JWT: true, Issuer: "https://idp", Subject: "dave"}),
		held("robot", facts.HeldToken{JWT: true, ID: "7", Subject: "system:serviceaccount:ci:deployer"}),
		{Name: "nothing"},
	}}}
	listed := map[string]*inventory.Credential{}
	for _, c := range inventory.Build(&inventory.Input{Facts: f}).Credentials {
		listed[c.ID] = c
	}
	for id, want := range map[string]struct{ username, mechanism string }{
		"FILE=/etc/kubernetes/config#stranger": {"", "staticToken or bootstrapToken or webhook"},
		"FILE=/etc/kubernetes/config#carol":    {"carol", "jwt"},
		"FILE=/etc/kubernetes/config#dave":     {"dave", "jwt"},
		"JTI=7":                                {"system:serviceaccount:ci:deployer", "serviceAccountSecret"},
	} {
		if c := listed[id]; c == nil || c.Username != want.username || c.MechanismText() != want.mechanism || len(c.Stored) != 1 {
			t.Errorf("%s is listed as %+v, want %+v", id, c, want)
		}
	}
	for _, user := range []string{"bob", "node", "nothing"} {
		if c := listed["FILE=/etc/kubernetes/config#"+user]; c != nil {
			t.Errorf("%s is listed twice, or for nothing: %+v", user, c)
		}
	}
}
