package lockout_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// fewSources is how many addresses guess, and manySources before a release, unless OSTIARY_SWARM_SOURCES says otherwise.
	fewSources, manySources = 500, 2500
	// attackers is how many connections they have at a time.
	attackers = 16
	// pairBudget and prefixBudget are what a source may try at once, of one id and in all.
	pairBudget, prefixBudget = 5, 20
	// comesBack is how long it takes until a source may try one more.
	comesBack = 10 * time.Second
	// warm is for how long good users work before anything is measured: each of them is on record then. quiet is for how long they do
	// before the attack.
	warm, quiet = 2 * time.Second, 6 * time.Second
	// fewAsk and manyAsk are how often each good user asks, in milliseconds; by the latter they are what the machine is busy with.
	fewAsk, manyAsk = 100, 20
	// slowest bounds a good user's request during the attack, on a machine that the attackers and a cluster share.
	slowest = 10 * time.Second
	// storeWrites is how many records a second may be written, and storeBurst how many the bound lets through at its start.
	storeWrites, storeBurst = 50, 100
	// heldBack is by how much the program may grow while ten times as many sources come as when it was measured first.
	heldBack = 128 << 20
)

// TestSwarm: thousands of addresses guess at a bootstrap token's secret, at passwords and at strong tokens, as fast as they
// can. Good users, the token's owner among them, come in without exception; what is looked at of the guesses, what is
// written and what is remembered stay within their bounds.
func TestSwarm(t *testing.T) {
	h := open(t, behindBalancer)
	people := newPeople(t, h)
	people.mustSucceed(t, "at first", people.work(t, warm, nil))
	calm := time.Now()
	before := people.work(t, quiet, nil)
	people.mustSucceed(t, "before the attack", before)

	began, attack := time.Now(), h.attack(t)
	during := people.work(t, 0, attack.over)
	took := time.Since(began)
	people.mustSucceed(t, "during the attack", during)
	if attack.err != nil {
		t.Fatal(attack.err)
	}

	quick, slow := percentile(before), percentile(during)
	t.Logf("good users: %d requests before, p99 %s; %d during, p99 %s (%.1f times); asked again after a 503: %d",
		len(before), quick, len(during), slow, float64(slow)/float64(quick), people.unavailable.Load())
	if slow > slowest {
		t.Errorf("the slowest hundredth of good requests took more than %s", slowest)
	}
	quick, slow = h.inside(t, calm, began), h.inside(t, began, began.Add(took))
	t.Logf("of which from the whole request to the whole answer at the gate: p99 %s before, %s during (%.1f times)", quick, slow, float64(slow)/float64(quick))
	for _, who := range people.names() {
		t.Logf("good users with %s: p99 %s before, %s during", who, percentile(of(before, who)), percentile(of(during, who)))
	}
	sum := &attack.tally
	t.Logf("attack: %d addresses in %s; %d guesses looked at, %d refused, %d connections failed", sum.Connected, took.Round(time.Second), sum.Judged, sum.Refused, sum.Failed)
	if sum.Connected < sources(t)*9/10 || sum.Refused == 0 {
		t.Errorf("that was no attack")
	}
	if sum.Over > 0 {
		t.Errorf("%d addresses had more guesses looked at than their budget", sum.Over)
	}
	if counted := int64(h.metric(t, `ostiary_lockout_wrong_tokens_total{shape="bootstrap"}`)); counted > sum.Connected*pairBudget {
		t.Errorf("%d secrets were tried", counted)
	}
	writes := h.metric(t, "ostiary_lockout_store_writes_total")
	t.Logf("store: %.0f records written, %.1f a second", writes, writes/took.Seconds())
	if writes > storeWrites*took.Seconds()+storeBurst {
		t.Errorf("%.0f records were written in %s", writes, took)
	}
	after := uint64(h.metric(t, "process_resident_memory_bytes"))
	t.Logf("memory: %d MB after a tenth of the addresses, %d MB after all", attack.early>>20, after>>20)
	if after > attack.early+heldBack {
		t.Errorf("the program grew from %d to %d MB", attack.early>>20, after>>20)
	}
}

// sources is how many addresses are to guess.
func sources(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv(attackSources)
	if text == "" {
		return int64(stage.Count(fewSources, manySources))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// people are good users, each with an address of their own.
type people struct {
	roots *x509.CertPool
	each  []*person
	// unavailable counts the answers that the gate could not tell.
	unavailable atomic.Int64
}

// person has a credential, and a client that keeps its connection or that makes a new one each time.
type person struct {
	name, url, token string
	client           *http.Client
	unavailable      *atomic.Int64
}

func newPeople(t *testing.T, h *house) *people {
	t.Helper()
	p := &people{roots: x509.NewCertPool()}
	p.roots.AppendCertsFromPEM(h.CA)
	add := func(name, token string, pair *pki.KeyPair, keeps bool) {
		config := &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
		if pair != nil {
			config.Certificates = []tls.Certificate{pair.TLS()}
		}
		from := netip.AddrFrom4([4]byte{198, 51, 100, byte(len(p.each) + 1)})
		transport := &http.Transport{DisableKeepAlives: !keeps, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialFrom(ctx, h.URL, from, config)
		}}
		t.Cleanup(transport.CloseIdleConnections)
		if !keeps {
			name += ", each time over a new connection"
		}
		p.each = append(p.each, &person{name, h.URL, token, &http.Client{Transport: transport, Timeout: deadline}, &p.unavailable})
	}
	pair, err := h.users.Issue(pki.Client("jill"))
	if err != nil {
		t.Fatal(err)
	}
	for _, keeps := range []bool{true, false} {
		add("a strong token", h.strong, nil, keeps)
		add("a password", password, nil, keeps)
		add("the hammered token's owner", h.bootstrap, nil, keeps)
		add("a certificate", "", pair, keeps)
	}
	return p
}

// outcome is one good request.
type outcome struct {
	who    string
	status int
	err    error
	took   time.Duration
}

// work has everybody ask again and again, for a time or until something is over.
func (p *people) work(t *testing.T, long time.Duration, over <-chan struct{}) (all []outcome) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if over == nil {
		ctx, cancel = context.WithTimeout(t.Context(), long)
	}
	defer cancel()
	go func() {
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	var mu sync.Mutex
	var working sync.WaitGroup
	for i, one := range p.each {
		working.Go(func() {
			pace := time.Duration(stage.Count(fewAsk, manyAsk)) * time.Millisecond
			begin := time.NewTimer(pace * time.Duration(i) / time.Duration(len(p.each))) // one after the other, not all at once
			defer begin.Stop()
			<-begin.C
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				got := one.ask(t.Context()) //nolint:contextcheck // what was asked is answered after the end, too
				mu.Lock()
				all = append(all, got)
				mu.Unlock()
			}
		})
	}
	working.Wait()
	return all
}

// repeats is how often client-go asks again where it is told after how long. A gate that cannot prove that it knows of every
// revocation says so, which on a machine that all of this shares may happen; a lockout never tells anybody to come back.
const repeats = 10

// ask asks as client-go does.
func (p *person) ask(ctx context.Context) (got outcome) {
	for range repeats {
		if got = p.askOnce(ctx); got.status != http.StatusServiceUnavailable {
			return got
		}
		p.unavailable.Add(1)
	}
	return got
}

// askOnce asks for what a bootstrap token may be used for, too.
func (p *person) askOnce(ctx context.Context) outcome {
	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/namespaces/kube-public/configmaps/cluster-info", nil)
	if err != nil {
		return outcome{who: p.name, err: err}
	}
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return outcome{who: p.name, err: err}
	}
	_, err = io.Copy(io.Discard, response.Body)
	return outcome{p.name, response.StatusCode, errors.Join(err, response.Body.Close()), time.Since(began)}
}

// mustSucceed wants every request to have come in: the cluster's own answer, whatever it is.
func (p *people) mustSucceed(t *testing.T, when string, all []outcome) {
	t.Helper()
	count := map[string]int{}
	for _, one := range all {
		if one.err != nil || one.status != http.StatusOK && one.status != http.StatusForbidden && one.status != http.StatusNotFound {
			count[fmt.Sprintf("%s: status %d, %v", one.who, one.status, one.err)]++
		}
	}
	for what, n := range count {
		t.Errorf("%s, %d of %d: %s", when, n, len(all), what)
	}
	if len(all) == 0 {
		t.Errorf("%s nobody asked", when)
	}
}

// names are those of all.
func (p *people) names() (names []string) {
	for _, one := range p.each {
		names = append(names, one.name)
	}
	return names
}

// of are the outcomes of one.
func of(all []outcome, who string) (found []outcome) {
	for i := range all {
		if all[i].who == who {
			found = append(found, all[i])
		}
	}
	return found
}

// inside is the time within which 99 of 100 requests that came in between two moments were answered, by the gate's own clock.
func (h *house) inside(t *testing.T, from, to time.Time) time.Duration {
	t.Helper()
	lines, err := h.AccessLog()
	if err != nil {
		t.Fatal(err)
	}
	var all []outcome
	for _, line := range lines {
		if line.Verdict == "allow" && line.Time.After(from) && line.Time.Before(to) {
			all = append(all, outcome{took: time.Duration(line.Milliseconds * float64(time.Millisecond))})
		}
	}
	return percentile(all)
}

// percentile is the time within which 99 of 100 requests were answered.
func percentile(all []outcome) time.Duration {
	took := make([]time.Duration, 0, len(all))
	for _, one := range all {
		took = append(took, one.took)
	}
	slices.Sort(took)
	if len(took) == 0 {
		return 0
	}
	return took[len(took)*99/100]
}
