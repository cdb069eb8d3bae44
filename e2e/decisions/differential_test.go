package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2" //nolint:depguard // the same seed must make the same requests
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// fewRequests is how many requests are made where nobody asks for another number, and manyRequests before a release. With the
	// few, each kind is both let in and refused.
	fewRequests, manyRequests = 1000, 5000
	// differentialWorkers is how many are under way at a time.
	differentialWorkers = 4
	// cachesEmpty is longer than any server remembers a token (CACHE-2), with some slack.
	cachesEmpty = 12 * time.Second
	// pairsOf, spelledOf and oddOf are one request in how many has two credentials, another spelling, a further header.
	pairsOf, spelledOf, oddOf = 4, 6, 5
)

// request is one generated request.
type request struct {
	index  int
	shapes []shape
	// odd are further headers; spelled is the spelling of the bearer token, or -1.
	odd     []string
	spelled int
	seed    uint64
	// text is how the servers disagreed at first.
	text string
}

// generate makes the request of that index. The same seed and index make the same request, but for keys and times.
func generate(seed uint64, index int) request {
	r := rand.New(rand.NewPCG(seed, uint64(index)))
	kinds := shapes()
	q := request{index: index, spelled: -1, seed: r.Uint64()}
	// The kinds are gone through in turn, so that each has its share.
	first := kinds[index%len(kinds)]
	q.shapes = append(q.shapes, first[r.IntN(len(first))])
	if r.IntN(pairsOf) == 0 {
		other := kinds[r.IntN(len(kinds))]
		q.shapes = append(q.shapes, other[r.IntN(len(other))])
	}
	if r.IntN(spelledOf) == 0 {
		q.spelled = r.IntN(len(spellings()))
	}
	if r.IntN(oddOf) == 0 {
		q.odd = append(q.odd, oddities()[r.IntN(len(oddities()))])
	}
	return q
}

// call makes the request's bytes, and the rows by which the gates may decide otherwise.
func (q *request) call(e *everything) (c call, differs, hardened []string) {
	r := rand.New(rand.NewPCG(q.seed, 0))
	for _, shape := range q.shapes {
		part := shape.make(e, r)
		if c.certificate == nil {
			c.certificate = part.certificate
		}
		c.headers = append(c.headers, part.headers...)
		differs, hardened = append(differs, shape.differs), append(hardened, shape.hardened)
	}
	if q.spelled >= 0 {
		for i, header := range c.headers {
			if token, ok := strings.CutPrefix(header, "Authorization: Bearer "); ok {
				spelled, row := spellings()[q.spelled](token)
				c.headers = slices.Replace(slices.Clone(c.headers), i, i+1, spelled...)
				differs = append(differs, row)
				break
			}
		}
	}
	if count(c.headers, "Authorization:") > 1 {
		differs = append(differs, differsTwoHeaders)
	}
	c.headers = append(slices.Clone(c.headers), q.odd...)
	return c, rows(differs), rows(hardened)
}

// count is how many lines start with a name.
func count(headers []string, name string) (n int) {
	for _, header := range headers {
		if strings.HasPrefix(header, name) {
			n++
		}
	}
	return n
}

// rows are the names that are there, each once.
func rows(names []string) []string {
	named := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	slices.Sort(named)
	return slices.Compact(named)
}

// String names a request for people.
func (q *request) String() string {
	var names []string
	for _, shape := range q.shapes {
		names = append(names, shape.name)
	}
	text := strings.Join(names, " + ")
	if q.spelled >= 0 {
		text += fmt.Sprintf(", spelling %d", q.spelled)
	}
	if len(q.odd) > 0 {
		text += ", with " + strings.Join(q.odd, "; ")
	}
	return text
}

// disagreement says how the servers disagree about a request; empty when they do not, or as documented.
func (e *everything) disagreement(ctx context.Context, q *request) (want outcome, text string, err error) {
	c, differs, hardened := q.call(e)
	if want, err = review(ctx, e.reference, c); err != nil {
		return want, "", err
	}
	for _, one := range []struct {
		gate server
		rows []string
	}{{e.kubernetes, differs}, {e.hardened, append(slices.Clone(differs), hardened...)}} {
		got, err := review(ctx, one.gate, c)
		if err != nil {
			return want, "", err
		}
		diff := cmp.Diff(want, got, cmpopts.EquateEmpty())
		laxer := want.Status != created && got.Status == created
		if diff != "" && (laxer || len(one.rows) == 0 || !explained(want, got, one.rows)) {
			return want, fmt.Sprintf("%s decides otherwise (-kube-apiserver +gate; rows that may explain it: %q):\n%s", one.gate.name, one.rows, diff), nil
		}
	}
	return want, "", nil
}

// explained reports whether a difference is of the kind that the rows speak of: a refusal, or empty groups that are gone.
func explained(want, got outcome, rows []string) bool {
	if got.Status == http.StatusUnauthorized || got.Status == http.StatusBadRequest || got.Status == http.StatusForbidden {
		return true
	}
	if slices.Contains(rows, differsLostWarnings) {
		want.Warnings = got.Warnings
	}
	if !slices.Contains(rows, differsEmptyGroups) {
		return cmp.Equal(want, got, cmpopts.EquateEmpty())
	}
	want.Groups = slices.DeleteFunc(slices.Clone(want.Groups), func(group string) bool { return group == "" })
	return cmp.Equal(want, got, cmpopts.EquateEmpty())
}

// shrink makes a request that is disagreed about as small as it goes.
func (e *everything) shrink(ctx context.Context, q request) request {
	smaller := func(change func(*request)) {
		candidate := q
		candidate.shapes, candidate.odd = slices.Clone(q.shapes), slices.Clone(q.odd)
		change(&candidate)
		if _, text, err := e.disagreement(ctx, &candidate); err == nil && text != "" {
			q = candidate
		}
	}
	smaller(func(q *request) { q.odd = nil })
	smaller(func(q *request) { q.spelled = -1 })
	if len(q.shapes) == 2 {
		smaller(func(q *request) { q.shapes = q.shapes[:1] })
	}
	if len(q.shapes) == 2 {
		smaller(func(q *request) { q.shapes = q.shapes[1:] })
	}
	return q
}

// tally counts outcomes by kind.
type tally struct {
	mu       sync.Mutex
	outcomes map[string]map[int]int
	doubtful []request
}

func (t *tally) add(q *request, got outcome, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind, _, _ := strings.Cut(q.shapes[0].name, ":")
	if t.outcomes[kind] == nil {
		t.outcomes[kind] = make(map[int]int)
	}
	t.outcomes[kind][got.Status]++
	if text != "" {
		q.text = text
		t.doubtful = append(t.doubtful, *q)
	}
}

// number reads a setting from the environment.
func number(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 {
		t.Fatalf("%s: %q is no number above 0", name, text)
	}
	return value
}

// TestDifferential sends generated requests to kube-apiserver, and to gates in front of it: with the profile kubernetes
// they decide as it does; hardened, they are stricter where docs/differences.md says so, and laxer nowhere. The
// environment variables DIFF_N and DIFF_SEED choose how many and which.
func TestDifferential(t *testing.T) {
	var e everything
	e.start(t)
	seed, n := number(t, "DIFF_SEED", 1), number(t, "DIFF_N", stage.Count(fewRequests, manyRequests))
	documented := differences(t)
	for _, kind := range shapes() {
		for _, shape := range kind {
			for _, row := range rows([]string{shape.differs, shape.hardened}) {
				if !documented[row] {
					t.Errorf("%s: docs/differences.md has no row %q", shape.name, row)
				}
			}
		}
	}
	e.ready(t)
	counts := &tally{outcomes: make(map[string]map[int]int)}
	// In the middle an account is deleted and made anew under its name.
	e.send(t, counts, uint64(seed), 0, n/2)
	e.renew(t)
	e.send(t, counts, uint64(seed), n/2, n)
	e.settle(t, counts, uint64(seed))
	for _, kind := range slices.Sorted(maps.Keys(counts.outcomes)) {
		outcomes := counts.outcomes[kind]
		t.Logf("%-12s %v", kind, outcomes)
		if n >= fewRequests && (outcomes[created] == 0 || outcomes[unauthorized] == 0) {
			t.Errorf("%s: %v: a generator that makes only good or only bad requests shows nothing", kind, outcomes)
		}
	}
}

// send makes the requests from one index to another.
func (e *everything) send(t *testing.T, counts *tally, seed uint64, from, to int) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(differentialWorkers)
	for index := from; index < to; index++ {
		group.Go(func() error {
			q := generate(seed, index)
			got, text, err := e.disagreement(ctx, &q)
			if err != nil {
				return fmt.Errorf("request %d, %s: %w", index, &q, err)
			}
			counts.add(&q, got, text)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// settle asks once more about what was disagreed about, when nobody remembers anything: caches end at different moments.
func (e *everything) settle(t *testing.T, counts *tally, seed uint64) {
	t.Helper()
	if len(counts.doubtful) == 0 {
		return
	}
	t.Logf("%d disagreements, asked about again when all caches are empty", len(counts.doubtful))
	untilTime(t, time.Now().Add(cachesEmpty))
	remaining := 0
	for _, q := range counts.doubtful {
		t.Logf("at first: %s: %s", &q, q.text)
		_, text, err := e.disagreement(t.Context(), &q)
		if err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		if remaining++; remaining > 20 {
			continue
		}
		small := e.shrink(t.Context(), q)
		c, _, _ := small.call(e)
		t.Errorf("DIFF_SEED=%d, request %d: %s\n%s\nreproducer:\n%s", seed, q.index, &small, text, c.bytes("server"))
	}
	t.Logf("%d of them remain", remaining)
}

// ready waits until all servers know all issuers, grants and Secrets.
func (e *everything) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), warmDeadline)
	defer cancel()
	calls := []call{{}, {headers: bearer(e.bootstrap["good"])}, {headers: bearer("wh-alice")}, {headers: bearer(e.secretTokens["secret-good"])}}
	for _, issuer := range []*issuer{shared.issuers.mapped, shared.issuers.prefixed, shared.issuers.cel} {
		calls = append(calls, issuer.token(t, nil))
	}
	for _, server := range []server{e.reference, e.kubernetes, e.hardened} {
		for _, call := range calls {
			if err := until(ctx, server, call); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// renew deletes an account and makes another one of its name. Both servers refuse the old one's tokens afterwards.
func (e *everything) renew(t *testing.T) {
	t.Helper()
	accounts := e.plane.Admin.CoreV1().ServiceAccounts("default")
	if err := accounts.Delete(t.Context(), "renewed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	renewed, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "renewed"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if renewed.UID == e.objects["renewed"].UID {
		t.Fatal(errors.New("the account is still the old one"))
	}
}
