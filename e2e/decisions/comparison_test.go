package decisions_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// The identity modes: how a gate hands identities on. The names of gates end with them.
const (
	modeRequestHeader = "requestHeader"
	modeImpersonation = "impersonation"
)

// comparison is a kube-apiserver and the gates that are to decide as it does.
type comparison struct {
	reference server
	gates     []server
	started   []*gate.Gate
}

// start starts a gate in each identity mode.
func (c *comparison) start(ctx context.Context, plane *controlplane.ControlPlane, authentication gate.Object) error {
	var err error
	if c.reference, err = newServer("kube-apiserver", plane.URL, plane.CA()); err != nil {
		return err
	}
	frontProxy, err := gate.RequestHeader(shared.backend, "backend")
	if err != nil {
		return err
	}
	kubeconfig, err := shared.backend.Impersonator(ctx)
	if err != nil {
		return err
	}
	for _, mode := range []struct {
		name    string
		cluster gate.Object
	}{
		{modeRequestHeader, frontProxy},
		{modeImpersonation, gate.Impersonation(shared.backend, "backend", kubeconfig)},
	} {
		started, err := gate.Start(ctx, gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: gate.Object{
			"clusters": []any{mode.cluster}, "authentication": authentication,
		}})
		if err != nil {
			return err
		}
		c.started = append(c.started, started)
		server, err := newServer("gate in mode "+mode.name, started.URL, started.CA)
		if err != nil {
			return err
		}
		c.gates = append(c.gates, server)
	}
	return nil
}

func (c *comparison) stop() error {
	var errs []error
	for _, started := range c.started {
		errs = append(errs, started.Stop())
	}
	return errors.Join(errs...)
}

// all is the reference, followed by the gates.
func (c *comparison) all() []server { return append([]server{c.reference}, c.gates...) }

// newServer is a server whose certificate was signed by the given authority.
func newServer(name, url string, ca []byte) (server, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return server{}, errors.New(name + ": no certificate to trust")
	}
	return server{name: name, address: strings.TrimPrefix(url, "https://"), roots: roots}, nil
}

// row is one decision.
type row struct {
	// name starts with the id of a rule.
	name string
	call call
	// want is what kube-apiserver decides, and Ostiary too unless difference says otherwise.
	want outcome
	// difference is the first column of the row of docs/differences.md that ostiary follows from.
	difference string
	// ostiary is what Ostiary decides where there is a difference.
	ostiary outcome
	// mode is the one identity mode that the difference is about; empty means both.
	mode string
}

// ruleID starts the name of every row.
var ruleID = regexp.MustCompile(`^[A-Z][A-Z0-9]*-[0-9]+ `)

// run sends each row's request to the reference and to each gate and compares the outcomes.
func (c *comparison) run(t *testing.T, rows []row) {
	t.Helper()
	documented := differences(t)
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name] || !ruleID.MatchString(r.name) {
			t.Errorf("row %q: its name is there twice or does not start with the id of a rule", r.name)
		}
		seen[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			if r.difference != "" && !documented[r.difference] {
				t.Errorf("docs/differences.md has no row %q", r.difference)
			}
			want := mustReview(t, c.reference, r.call)
			if diff := r.want.diff(want); diff != "" {
				t.Errorf("%s decides otherwise than is written here (-written +decided):\n%s", c.reference.name, diff)
			}
			for _, gate := range c.gates {
				r.compare(t, gate, want, mustReview(t, gate, r.call))
			}
		})
	}
}

// compare holds one gate's outcome against the reference's.
func (r *row) compare(t *testing.T, gate server, reference, got outcome) {
	t.Helper()
	if reference.Status != created && got.Status == created {
		t.Errorf("%s lets in whom kube-apiserver refuses: %+v", gate.name, got)
	}
	if r.difference == "" || !strings.HasSuffix(gate.name, r.mode) {
		if diff := cmp.Diff(reference, got); diff != "" {
			t.Errorf("%s decides otherwise (-kube-apiserver +gate):\n%s", gate.name, diff)
		}
		return
	}
	if diff := r.ostiary.diff(got); diff != "" {
		t.Errorf("%s decides otherwise than documented (-documented +gate):\n%s", gate.name, diff)
	}
	if cmp.Equal(reference, got) {
		t.Errorf("%s decides as kube-apiserver does: there is no difference to document", gate.name)
	}
}

// differences are the first columns of the table in docs/differences.md.
func differences(t *testing.T) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "differences.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "| "); ok {
			first, _, _ := strings.Cut(rest, " | ")
			found[first] = true
		}
	}
	return found
}
