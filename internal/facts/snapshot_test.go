package facts_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/facts"
)

func TestSnapshotReadsBack(t *testing.T) {
	t.Parallel()

	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	want := &facts.Facts{
		CollectedAt: day,
		Sources:     []facts.SourceStatus{{Source: facts.SourceRBAC, State: facts.Read, Count: 1}},
		APIServers: []facts.APIServer{{Program: facts.Program{
			Name: "kube-system/kube-apiserver-a", Evidence: facts.EvidencePod,
			Flags: apiserverflags.Values{"anonymous-auth": {"false"}, "requestheader-allowed-names": {}},
		}}},
		ClusterRoles:    []rbacv1.ClusterRole{{Rules: []rbacv1.PolicyRule{{Verbs: []string{"*"}}}}},
		BootstrapTokens: []facts.BootstrapToken{{Name: "bootstrap-token-abcdef", Secret: facts.Token{Bits: 12.5, Published: true}}},
	}
	var file bytes.Buffer
	if err := facts.Encode(&file, want); err != nil {
		t.Fatal(err)
	}
	got, err := facts.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()

	const head = `{"apiVersion":"ostiary.dev/v1alpha1","kind":"FactsSnapshot"`
	for _, row := range []struct{ name, file, want string }{
		{"no JSON", "x", "no snapshot"},
		{"another kind", `{"apiVersion":"v1","kind":"Pod"}`, `"Pod" of "v1"`},
		{"no facts", head + `}`, "empty"},
		{"no time", head + `,"facts":{"cluster":{},"sources":[]}}`, "empty"},
		{"an unknown field", head + `,"facts":{"collectedAt":"2026-11-01T00:00:00Z","doors":[]}}`, `"doors"`},
		{"something after it", head + `,"facts":{"collectedAt":"2026-11-01T00:00:00Z"}}{`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := facts.Decode(strings.NewReader(row.file)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error = %v, want one with %q", err, row.want)
			}
		})
	}
}

// TestNothingReadIsNothingKnown: a source that nobody looked at is not taken for one with nothing in it.
func TestNothingReadIsNothingKnown(t *testing.T) {
	t.Parallel()

	var f facts.Facts
	if f.Knows(facts.SourceRBAC) {
		t.Error("a source that nobody looked at is known")
	}
	for state, want := range map[facts.State]bool{
		facts.NotAsked: false, facts.Partial: false, facts.Unreadable: false, facts.Read: true, facts.Absent: true,
	} {
		f.Note(facts.SourceStatus{Source: facts.SourceRBAC, State: state})
		if got := f.Knows(facts.SourceRBAC); got != want {
			t.Errorf("a source that is %q is known: %v, want %v", state, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"ostiary.dev/v1alpha1","kind":"FactsSnapshot","facts":{"collectedAt":"2026-11-01T00:00:00Z","cluster":{},"sources":[]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := facts.Decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := facts.Encode(&again, read); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
