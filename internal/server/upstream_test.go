package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
)

// A reload must take over the connections of what did not change, in either identity mode.
func TestUnchangedClustersAreTakenOver(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before")
	named := &gateway.Cluster{Name: "prod"}
	withoutFiles := &upstream{gateway: named}
	withFile := &upstream{gateway: named, files: []string{file}, content: digestOfFiles([]string{file})}
	taken := func(u *upstream) bool {
		g := &generation{clusters: []*upstream{u}}
		return !g.outdated() && g.upstream(&config.CheckedCluster{Name: "prod"}) == u
	}
	if !taken(withoutFiles) {
		t.Error("a cluster without files of its own is connected anew")
	}
	if !taken(withFile) {
		t.Error("a cluster whose file stayed the same is connected anew")
	}
	write("after")
	if taken(withFile) {
		t.Error("a cluster whose file changed is taken over")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if taken(withFile) {
		t.Error("a cluster whose file vanished is taken over")
	}
}
