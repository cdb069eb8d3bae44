package bootstraptoken_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/timingtest"
)

// early is what the mechanism must not be: it says no to an id that is not there before it looks at the secret.
type early struct {
	ids  map[string]bool
	next authn.TokenMechanism
}

func (e *early) ask(t testing.TB, r *authn.Request, token secret.String) {
	t.Helper()
	if !e.ids[token.Reveal()[:6]] {
		return
	}
	if got := e.next.AuthenticateToken(t.Context(), r, token); got.Outcome != authn.NoCredential {
		t.Errorf("a wrong secret: %+v", got)
	}
}

// TestTimeTellsNothing: how long a wrong token takes does not say whether there is such an id. The twin, which answers an
// id that is not there at once, is found out by as many samples. The whole answer of a gate, over a million samples, is
// measured by BenchmarkTiming of the lockout.
func TestTimeTellsNothing(t *testing.T) {
	const samples, ids, tries = 100_000, 1024, 5
	content, known := "", make(map[string]bool)
	var tokens [2][]secret.String
	for i := range ids {
		id := fmt.Sprintf("k%05d", i)
		content += entry(id, fmt.Sprint("the right one of ", i), "")
		known[id] = true
		part := fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15)
		tokens[0] = append(tokens[0], secret.New(id+"."+part))
		tokens[1] = append(tokens[1], secret.New(fmt.Sprintf("u%05d.%s", i, part)))
	}
	file, err := bootstraptoken.ParseFile([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	mechanism, r := bootstraptoken.New(file, false), &authn.Request{Now: time.Now()}
	even := func(kind, i int) func() {
		token := tokens[kind][i%ids]
		return func() {
			if got := mechanism.AuthenticateToken(t.Context(), r, token); got.Outcome != authn.NoCredential {
				t.Errorf("a wrong token: %+v", got)
			}
		}
	}
	// What else the machine does may look like a difference once, and hardly several times in a row.
	for try := 1; ; try++ {
		got := timingtest.Compare(samples, even)
		t.Logf("known id, wrong secret: %s; unknown id: %s; t = %.1f", got.Means[0], got.Means[1], got.T)
		if math.Abs(got.T) < timingtest.Bound {
			break
		}
		if try == tries {
			t.Fatalf("the time tells whether there is such an id: t = %.1f, want below %.1f", got.T, timingtest.Bound)
		}
	}
	twin := &early{known, mechanism}
	got := timingtest.Compare(samples, func(kind, i int) func() {
		token := tokens[kind][i%ids]
		return func() { twin.ask(t, r, token) }
	})
	t.Logf("the twin: t = %.1f", got.T)
	if math.Abs(got.T) < 10*timingtest.Bound {
		t.Errorf("the twin is not found out: t = %.1f", got.T)
	}
}
