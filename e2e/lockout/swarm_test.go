package lockout_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// fewSources is how many addresses guess, and manySources before a release, unless OSTIARY_SWARM_SOURCES says otherwise.
	fewSources, manySources = 1000, 2500
	// attackers is how many connections they have at a time.
	attackers = 16
	// pairBudget and prefixBudget are what a source may try at once, of one id and in all.
	pairBudget, prefixBudget = 5, 20
	// warm is for how long good users work before anything is measured: each of them is on record then. quiet is for how long they do
	// before the attack.
	warm, quiet = 2 * time.Second, 6 * time.Second
	// asking is how often each good user asks: more often, and they are what the machine is busy with.
	asking = 100 * time.Millisecond
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
	before := people.work(t, quiet, nil)
	people.mustSucceed(t, "before the attack", before)

	began, attack := time.Now(), &swarm{house: h, roots: people.roots, sources: sources(t)}
	over := make(chan struct{})
	var early atomic.Uint64
	go func() {
		defer close(over)
		attack.run(t, func(done int64) {
			if done == attack.sources/10 {
				early.Store(uint64(h.metric(t, "process_resident_memory_bytes")))
			}
		})
	}()
	during := people.work(t, 0, over)
	took := time.Since(began)
	people.mustSucceed(t, "during the attack", during)

	quick, slow := percentile(before), percentile(during)
	t.Logf("good users: %d requests before, p99 %s; %d during, p99 %s (%.1f times); asked again after a 503: %d",
		len(before), quick, len(during), slow, float64(slow)/float64(quick), people.unavailable.Load())
	for _, who := range people.names() {
		t.Logf("good users with %s: p99 %s before, %s during", who, percentile(of(before, who)), percentile(of(during, who)))
	}
	if slow > slowest {
		t.Errorf("the slowest hundredth of good requests took more than %s", slowest)
	}
	judged, refused := attack.judged.Load(), attack.refused.Load()
	t.Logf("attack: %d addresses in %s; %d guesses looked at, %d refused, %d connections failed", attack.connected.Load(), took.Round(time.Second), judged, refused, attack.failed.Load())
	if attack.connected.Load() < attack.sources*9/10 || refused == 0 {
		t.Errorf("that was no attack")
	}
	if attack.over.Load() > 0 {
		t.Errorf("%d addresses had more guesses looked at than their budget", attack.over.Load())
	}
	if counted := int64(h.metric(t, `ostiary_lockout_wrong_tokens_total{shape="bootstrap"}`)); counted > attack.connected.Load()*pairBudget {
		t.Errorf("%d secrets were tried", counted)
	}
	writes := h.metric(t, "ostiary_lockout_store_writes_total")
	t.Logf("store: %.0f records written, %.1f a second", writes, writes/took.Seconds())
	if writes > storeWrites*took.Seconds()+storeBurst {
		t.Errorf("%.0f records were written in %s", writes, took)
	}
	after := uint64(h.metric(t, "process_resident_memory_bytes"))
	t.Logf("memory: %d MB after a tenth of the addresses, %d MB after all", early.Load()>>20, after>>20)
	if after > early.Load()+heldBack {
		t.Errorf("the program grew from %d to %d MB", early.Load()>>20, after>>20)
	}
}

// swarm guesses.
type swarm struct {
	house *house
	roots *x509.CertPool
	// sources is how many addresses guess.
	sources int64

	connected, failed, judged, refused, over atomic.Int64
}

// sources is how many addresses are to guess.
func sources(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("OSTIARY_SWARM_SOURCES")
	if text == "" {
		return int64(stage.Count(fewSources, manySources))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run has every address guess once: most at the victim's secret, some at everything until they are locked.
func (s *swarm) run(t *testing.T, progress func(done int64)) {
	t.Helper()
	var next, done atomic.Int64
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= s.sources {
					return
				}
				s.attack(t.Context(), i)
				progress(done.Add(1))
			}
		})
	}
	all.Wait()
}

// attack is one address' part.
func (s *swarm) attack(ctx context.Context, i int64) {
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], 10<<24|uint32(i)<<4|1)
	tokens, most := make([]string, 0, prefixBudget+10), pairBudget
	for range pairBudget + 2 {
		tokens = append(tokens, victimID+"."+randomPart())
	}
	if i%10 == 0 {
		most = prefixBudget
		for len(tokens) < prefixBudget+10 {
			tokens = append(tokens, wrongPassword())
		}
	}
	statuses, err := s.guess(ctx, netip.AddrFrom4(four), tokens)
	if err != nil {
		s.failed.Add(1)
	}
	if len(statuses) > 0 {
		s.connected.Add(1)
	}
	looked := 0
	for _, status := range statuses {
		if status == http.StatusTooManyRequests {
			s.refused.Add(1)
		} else {
			looked++
		}
	}
	s.judged.Add(int64(looked))
	if looked > most {
		s.over.Add(1)
	}
}

// guess sends all tokens in one go, over one connection, and reads the answers.
func (s *swarm) guess(ctx context.Context, from netip.Addr, tokens []string) (statuses []int, err error) {
	conn, err := dialFrom(ctx, s.house.URL, from, &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		return nil, err
	}
	var requests bytes.Buffer
	for _, token := range tokens {
		_, _ = fmt.Fprintf(&requests, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\n\r\n", token)
	}
	if _, err := conn.Write(requests.Bytes()); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	for range tokens {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return statuses, err
		}
		statuses = append(statuses, response.StatusCode)
	}
	return statuses, nil
}

// dialFrom connects as a balancer does for a client of its own: with a PROXY header of version 2 before TLS.
func dialFrom(ctx context.Context, url string, from netip.Addr, config *tls.Config) (*tls.Conn, error) {
	plain, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(balancer)}}).DialContext(ctx, "tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		return nil, err
	}
	source := from.As4()
	header := slices.Concat(
		[]byte("\r\n\r\n\x00\r\nQUIT\n"), []byte{0x21, 0x11, 0, 12}, source[:], []byte{127, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb},
	)
	if _, err := plain.Write(header); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	config = config.Clone()
	config.ServerName = "localhost"
	secured := tls.Client(plain, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return secured, nil
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
	for _, one := range p.each {
		working.Go(func() {
			ticker := time.NewTicker(asking)
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
