package lockout_test

import (
	"crypto/x509"
	"maps"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/etcd"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

const (
	// replicas is how many gates share a ledger.
	replicas = 3
	// guesses are made, one each guessEvery, at all replicas in turn.
	guesses, guessEvery = 100, 200 * time.Millisecond
	// heard is within how long replicas hear of each other's failures, on a machine that a cluster shares: two seconds, and
	// as many more.
	heard = 4 * time.Second
	// refill is how many guesses come back meanwhile.
	refill = int(guesses * guessEvery / (10 * time.Second))
	// budget is what a source that goes round among replicas may have judged, and alone what it may at replicas that
	// know nothing of each other.
	budget, alone = prefixBudget + int(heard/guessEvery) + refill, replicas * prefixBudget
)

// balancer is the address of this machine that a balancer has; all other clients come from another.
const balancer = "127.0.0.2"

// behindBalancer takes the sources of a balancer's connections from PROXY headers.
func behindBalancer(config gate.Object) {
	config["listen"] = gate.Object{"drainTimeout": "3s", "proxyProtocol": gate.Object{"from": []any{balancer + "/32"}}}
}

// openReplicas starts gates that have one ledger, in an etcd cluster.
func openReplicas(t *testing.T) (all []*house) {
	t.Helper()
	cluster, err := etcd.Start(t.Context(), etcd.Options{
		Binaries: shared.paths, Dir: t.TempDir(), Places: []etcd.Place{{Address: netip.AddrFrom4([4]byte{127, 0, 0, 1})}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	first := open(t, func(config gate.Object) {
		behindBalancer(config)
		config["ledger"] = gate.Object{"etcd": gate.Object{"endpoints": cluster.Endpoints(), "tls": gate.Object{
			"certificateAuthorityFile": cluster.CAFile, "certFile": cluster.ClientFiles.Cert, "keyFile": cluster.ClientFiles.Key,
		}}}
	})
	all = []*house{first}
	for range replicas - 1 {
		next := *first
		next.dir, next.config = t.TempDir(), maps.Clone(first.config)
		ledger := maps.Clone(first.config["ledger"].(gate.Object))
		ledger["keyFile"] = filepath.Join(first.dir, "ledger.key")
		next.config["ledger"] = ledger
		next.start(t)
		all = append(all, &next)
	}
	return all
}

// from presents tokens as a client of the balancer, over one connection.
func (h *house) from(t *testing.T, source string, tokens ...string) (statuses []int) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.CA)
	statuses, err := (&swarm{url: h.URL, roots: roots}).guess(t.Context(), netip.MustParseAddr(source), tokens)
	if err != nil {
		t.Fatal(err)
	}
	return statuses
}

// goRound guesses at all houses in turn, and counts what was looked at.
func goRound(t *testing.T, houses []*house, source string) (judged int) {
	t.Helper()
	ticker := time.NewTicker(guessEvery)
	defer ticker.Stop()
	for i := range guesses {
		switch status := houses[i%len(houses)].from(t, source, wrongPassword())[0]; status {
		case http.StatusUnauthorized:
			judged++
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("a wrong token: status %d", status)
		}
		<-ticker.C
	}
	return judged
}

// TestReplicasHaveOneBudget: whoever spreads guesses over replicas has one budget for all of them, and what is tried until
// they have heard of it. A lock that one has put on holds at the others, and after a restart of all; taken off at one, it is off at all. What is
// written for it stays within its bound.
func TestReplicasHaveOneBudget(t *testing.T) {
	t.Parallel()
	all := openReplicas(t)
	const spreads, stays = "203.0.113.7", "203.0.113.8"
	began := time.Now()
	judged := goRound(t, all, spreads)
	t.Logf("%d of %d guesses at %d replicas were looked at; each has a budget of %d", judged, guesses, replicas, prefixBudget)
	if judged > budget {
		t.Errorf("%d guesses were looked at, want %d at most", judged, budget)
	}
	tokens := make([]string, prefixBudget)
	for i := range tokens {
		tokens[i] = wrongPassword()
	}
	all[0].from(t, stays, tokens...)
	locked := time.Now()
	for _, h := range all[1:] {
		await(t, "the lock to hold elsewhere", func() bool { return h.from(t, stays, wrongPassword())[0] == http.StatusTooManyRequests })
	}
	t.Logf("a lock held elsewhere after %s", time.Since(locked).Round(time.Millisecond))
	writes := 0.0
	for _, h := range all {
		writes += h.metric(t, "ostiary_lockout_store_writes_total")
	}
	t.Logf("%.0f records were written in %s", writes, time.Since(began).Round(time.Second))
	if most := storeWrites*time.Since(began).Seconds() + storeBurst; writes > most {
		t.Errorf("%.0f records were written, want %.0f at most", writes, most)
	}

	await(t, "the lock to be written", func() bool {
		return strings.Contains(act(t, all[1].as(t, all[1].guards), "ostiary", "get", "lockouts"), stays+"/32")
	})
	for _, h := range all {
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range all {
		h.start(t)
	}
	for i, h := range all {
		if got := h.from(t, stays, wrongPassword())[0]; got != http.StatusTooManyRequests {
			t.Errorf("replica %d: status %d after a restart", i, got)
		}
	}
	act(t, all[2].as(t, all[2].guards), "ostiary", "unlock", "--source="+stays, "--reason=the old script is stopped")
	for i, h := range all {
		if got := h.from(t, stays, wrongPassword())[0]; got != http.StatusUnauthorized {
			t.Errorf("replica %d: status %d after the unlock", i, got)
		}
	}
}

// TestReplicasByThemselves is the twin: gates that have nothing in common have a budget each.
func TestReplicasByThemselves(t *testing.T) {
	t.Parallel()
	var all []*house
	for range replicas {
		all = append(all, open(t, behindBalancer))
	}
	judged := goRound(t, all, "203.0.113.7")
	t.Logf("%d of %d guesses at %d gates were looked at", judged, guesses, replicas)
	if judged < alone {
		t.Errorf("%d guesses were looked at, want %d: the twin shows nothing", judged, alone)
	}
}
