package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// etcdLedger is a ledger in an etcd cluster that is good.
const etcdLedger = `ledger:
  etcd:
    endpoints: [https://10.0.0.1:2379, "https://ETCD-2.example.org:2379"]
    tls: {certificateAuthorityFile: cluster-ca.crt, certFile: front.crt, keyFile: front.key}
    prefix: /gates/prod/
  keyFile: token
`

// withLedger is the edit that writes a ledger.
func withLedger(edits ...string) []string {
	return []string{"accessLog:\n", strings.NewReplacer(edits...).Replace(etcdLedger) + "accessLog:\n"}
}

func TestLedgerInEtcd(t *testing.T) {
	checked := load(t, folder(t, withLedger()...)).Ledger.Etcd
	if diff := cmp.Diff([]string{"https://10.0.0.1:2379", "https://etcd-2.example.org:2379"}, checked.Endpoints); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if checked.Prefix != "/gates/prod/" || len(checked.Authorities.Certificates) != 1 || checked.Pair.Certificate.Leaf == nil {
		t.Errorf("prefix %q, %d authorities, certificate %v", checked.Prefix, len(checked.Authorities.Certificates), checked.Pair.Certificate.Leaf)
	}
	checked = load(t, folder(t, withLedger("    prefix: /gates/prod/\n", "")...)).Ledger.Etcd
	if checked.Prefix != "/ostiary/" {
		t.Errorf("prefix %q", checked.Prefix)
	}
}

func TestLedgerRefuses(t *testing.T) {
	const first = "https://10.0.0.1:2379"
	for _, row := range []struct {
		name  string
		edits []string
		want  string
	}{
		{"both stores", []string{"  etcd:", "  embedded: {directory: data}\n  etcd:"}, "ledger: exclude each other"},
		{"in clear text", []string{first, "http://10.0.0.1:2379"}, "ledger.etcd.endpoints[0]: must start with https://"},
		{"over a socket file", []string{first, "unix://etcd.sock"}, "ledger.etcd.endpoints[0]: must start with https://"},
		{"without a port", []string{first, "https://10.0.0.1"}, "ledger.etcd.endpoints[0]: must have a port"},
		{"with a path", []string{first, first + "/x"}, "ledger.etcd.endpoints[0]: must be only https://host:port"},
		{"with a password", []string{first, "https://gate:hunter2@10.0.0.1:2379"}, "ledger.etcd.endpoints[0]: must be only https://host:port"},
		{"the same twice", []string{first, "https://etcd-2.example.org:2379"}, "ledger.etcd.endpoints[1]: name each member once"},
		{"no endpoints", []string{`[https://10.0.0.1:2379, "https://ETCD-2.example.org:2379"]`, "[]"}, "ledger.etcd.endpoints: Required"},
		{"prefix without an end", []string{"/gates/prod/", "/gates/prod"}, "ledger.etcd.prefix: must start and end"},
		{"prefix of everything", []string{"/gates/prod/", "/"}, "ledger.etcd.prefix: must start and end"},
		{"prefix with a space", []string{"/gates/prod/", "/gates /"}, "ledger.etcd.prefix: visible ASCII"},
		{"checkpoint in a missing folder", []string{"keyFile: token", "keyFile: token\n  checkpointFile: no/checkpoint"}, "ledger.checkpointFile: does not exist; create it"},
		{"checkpoint inside the store", []string{"  keyFile: token", "  embedded: {directory: .}\n  keyFile: token\n  checkpointFile: checkpoint", "  etcd:\n    endpoints: [https://10.0.0.1:2379, \"https://ETCD-2.example.org:2379\"]\n    tls: {certificateAuthorityFile: cluster-ca.crt, certFile: front.crt, keyFile: front.key}\n    prefix: /gates/prod/\n", ""}, "ledger.checkpointFile: must not be inside"},
		{"no key", []string{"  keyFile: token\n", ""}, "ledger.keyFile: Required"},
		{"a key that is not there", []string{"keyFile: token", "keyFile: no.key"}, "ledger.keyFile: cannot be read"},
		{"no CA", []string{"certificateAuthorityFile: cluster-ca.crt, ", ""}, "ledger.etcd.tls.certificateAuthorityFile: Required"},
		{"no client certificate", []string{"certFile: front.crt, ", ""}, "ledger.etcd.tls.certFile: Required"},
		{"a server's certificate", []string{"certFile: front.crt, keyFile: front.key", "certFile: tls.crt, keyFile: tls.key"}, "ledger.etcd.tls.certFile: not for clients"},
	} {
		t.Run(row.name, func(t *testing.T) {
			mistakes := refusal(t, folder(t, withLedger(row.edits...)...))
			expect(t, mistakes, row.want)
			if strings.Contains(strings.Join(mistakes, "\n"), "hunter2") {
				t.Error("a password is in a message")
			}
		})
	}
}

// TestLedgerKeyIsPrivate: a key that others may read is refused, by whatever name; links are followed.
func TestLedgerKeyIsPrivate(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o640: "mode 0640", 0o604: "mode 0604", 0o620: "mode 0620", 0o644: "mode 0644", 0o660: "mode 0660",
	} {
		for _, name := range []string{"token", "link"} {
			dir := folder(t, withLedger("keyFile: token", "keyFile: "+name)...)
			if err := errors.Join(os.Symlink("token", filepath.Join(dir, "link")), os.Chmod(filepath.Join(dir, "token"), mode)); err != nil {
				t.Fatal(err)
			}
			if want == "" {
				if load(t, dir).Ledger.Key.IsEmpty() {
					t.Errorf("%04o: no key", mode)
				}
				continue
			}
			expect(t, refusal(t, dir), "ledger.keyFile: "+want)
		}
	}
}
