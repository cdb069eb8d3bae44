package facts_test

import (
	"testing"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/facts"
)

func TestServers(t *testing.T) {
	t.Parallel()

	view := func(name string, evidence facts.Evidence, flags apiserverflags.Values, files ...facts.File) facts.APIServer {
		return facts.APIServer{Program: facts.Program{Name: name, Evidence: evidence, Flags: flags}, Files: files}
	}
	running := apiserverflags.Values{"anonymous-auth": {"true"}, "token-auth-file": {"/t"}, "profiling": {"true"}}
	manifest := apiserverflags.Values{"token-auth-file": {"/t"}}
	read := facts.File{Flag: "token-auth-file", State: facts.Read}
	for _, row := range []struct {
		name string
		in   []facts.APIServer
		want int
	}{
		{"one, seen twice", []facts.APIServer{view("m", facts.EvidenceManifest, manifest, read), view("r", facts.EvidenceFlagz, running)}, 1},
		{"a manifest that was changed since the start", []facts.APIServer{
			view("r", facts.EvidenceFlagz, running), view("m", facts.EvidenceManifest, apiserverflags.Values{"token-auth-file": {"/other"}}, read),
		}, 2},
		{"two replicas, of which one was seen running", []facts.APIServer{
			view("r", facts.EvidenceFlagz, running), view("m1", facts.EvidenceManifest, manifest, read), view("m2", facts.EvidenceManifest, manifest),
		}, 2},
		{"two pods", []facts.APIServer{view("p1", facts.EvidencePod, manifest), view("p2", facts.EvidencePod, manifest)}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := facts.Facts{APIServers: row.in}
			got := f.Servers()
			if len(got) != row.want {
				t.Fatalf("%d servers, want %d", len(got), row.want)
			}
			if row.want == 1 && (!got[0].Readable("token-auth-file") || !got[0].Flags.Set("profiling")) {
				t.Errorf("the server has flags %v and files %v, want those of both views", got[0].Flags, got[0].Files)
			}
		})
	}
}
