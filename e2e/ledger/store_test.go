package ledger_test

import (
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/etcd"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// store runs "ostiary store".
func store(t *testing.T, args ...string) (output string, ok bool) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), shared.paths[binaries.Ostiary], append([]string{"store"}, args...)...).CombinedOutput()
	return string(text), err == nil
}

// mustStore wants it to succeed.
func mustStore(t *testing.T, args ...string) string {
	t.Helper()
	output, ok := store(t, args...)
	if !ok {
		t.Fatalf("ostiary store %s:\n%s", strings.Join(args, " "), output)
	}
	return output
}

// move writes a configuration that is the house's but for the store, and returns its file.
func (h *house) move(t *testing.T, name string, store gate.Object) string {
	t.Helper()
	text, err := os.ReadFile(h.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	ledger, _ := config["ledger"].(map[string]any)
	delete(ledger, "embedded")
	delete(ledger, "etcd")
	maps.Copy(ledger, store)
	if text, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.Dir, name+".yaml")
	if err := pki.WriteFile(file, text); err != nil {
		t.Fatal(err)
	}
	return file
}

// reopen starts the gate anew, with another store.
func (h *house) reopen(t *testing.T, store gate.Object) {
	t.Helper()
	ledger := h.ledger()
	delete(ledger, "embedded")
	delete(ledger, "etcd")
	maps.Copy(ledger, store)
	var err error
	if h.Gate, err = gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: h.config, Dir: h.Dir}); err != nil {
		t.Fatal(err)
	}
	h.guard = h.as(t, h.Access().WithCertificate(h.admin))
}

func (h *house) close(t *testing.T) {
	t.Helper()
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestStoreMoves: what was shut out stays so wherever the ledger is brought to: from the process's own store to an etcd cluster
// and back, and out of a snapshot that is older.
func TestStoreMoves(t *testing.T) {
	t.Parallel()
	cluster, err := etcd.Start(t.Context(), etcd.Options{
		Binaries: shared.paths, Dir: t.TempDir(), Fast: true, Places: []etcd.Place{{Address: netip.MustParseAddr("127.0.0.1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	external := gate.Object{"etcd": gate.Object{"endpoints": cluster.Endpoints(), "tls": gate.Object{
		"certificateAuthorityFile": cluster.CAFile, "certFile": cluster.ClientFiles.Cert, "keyFile": cluster.ClientFiles.Key,
	}}}
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	h := open(t, func(h *house) { h.ledger()["checkpointFile"] = checkpoint })
	people := make(map[string]*pki.KeyPair)
	for _, name := range []string{"ann", "ben", "cleo"} {
		if people[name], err = h.users.Issue(pki.Client(name)); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(when string, out ...string) {
		t.Helper()
		for name, pair := range people {
			want := http.StatusCreated
			for _, one := range out {
				if one == name {
					want = http.StatusUnauthorized
				}
			}
			if status, body := (&credential{access: h.Access().WithCertificate(pair)}).comesIn(t); status != want {
				t.Errorf("%s, %s: %d, want %d\n%s", when, name, status, want, body)
			}
		}
	}
	wants("before anything")
	h.ostiary(t, "revoke", "--user=ann", "--reason=left")
	wants("with ann shut out", "ann")
	first := h.ConfigFile
	h.close(t)
	snapshot := filepath.Join(h.Dir, "snapshot")
	mustStore(t, "snapshot", "--config", first, snapshot)
	mustStore(t, "verify", "--config", first, snapshot)

	// To the cluster, while nothing runs; into a store that is not empty nothing goes.
	moved := h.move(t, "etcd", external)
	out := mustStore(t, "migrate", "--config", first, "--to", moved)
	t.Logf("moved to the cluster: %s", strings.TrimSpace(out))
	if out, ok := store(t, "migrate", "--config", first, "--to", moved); ok || !strings.Contains(out, "empty") {
		t.Errorf("moved into a store that is in use:\n%s", out)
	}
	mustStore(t, "verify", "--config", moved)
	h.reopen(t, external)
	wants("in the cluster", "ann")
	if got := h.listed(t, "--user=ben"); len(got) != 1 {
		t.Errorf("entries of ben after the move: %+v", got)
	}
	h.ostiary(t, "revoke", "--user=ben", "--reason=left")
	wants("with ben shut out", "ann", "ben")
	h.close(t)

	// And back.
	embedded := gate.Object{"embedded": gate.Object{"directory": filepath.Join(h.Dir, "second")}}
	back := h.move(t, "back", embedded)
	mustStore(t, "migrate", "--config", moved, "--to", back)
	h.reopen(t, embedded)
	wants("back in the process", "ann", "ben")
	h.close(t)

	// The snapshot does not know of ben: it is refused unless that is accepted, and then everything falls that it may have lost.
	embedded = gate.Object{"embedded": gate.Object{"directory": filepath.Join(h.Dir, "third")}}
	restored := h.move(t, "restored", embedded)
	if out, ok := store(t, "restore", "--config", restored, snapshot); ok || !strings.Contains(out, "rolled back") {
		t.Errorf("an older snapshot was restored:\n%s", out)
	}
	if out, ok := store(t, "restore", "--config", restored, snapshot, "--nothing-newer"); ok {
		t.Errorf("an older snapshot was restored by saying that nothing is lost:\n%s", out)
	}
	mustStore(t, "restore", "--config", restored, snapshot, "--accept-rollback=disk lost", "--spare=jwt")
	mustStore(t, "verify", "--config", restored)
	h.reopen(t, embedded)
	wants("after the restore", "ann", "ben", "cleo")
}
