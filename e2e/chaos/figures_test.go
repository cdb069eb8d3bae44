//go:build linux

package chaos_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
)

const (
	// pace is how often a client asks that looks for the moment at which something changes.
	pace = 5 * time.Millisecond
	// pollPace is the same where the moment is to be known to the millisecond.
	pollPace = time.Millisecond
	// lastAccept and lastStream are how long after a replica lost etcd it may let a request in, and leave a stream open. The bars are
	// 1.2 and 5.5 seconds, and the figures are printed; the rest is for a machine that does something else.
	lastAccept = 1500 * time.Millisecond
	lastStream = 7 * time.Second
	// oneWay makes a round trip of 5 ms between all machines.
	oneWay = 2500 * time.Microsecond
)

// TestLatency measures, with nothing in the way, how long a revoke takes to answer, and to be in force at all replicas.
func TestLatency(t *testing.T) {
	s := newSite(t, siteOptions{persons: 20})
	delays := []time.Duration{0}
	if s.wires != nil {
		delays = append(delays, oneWay)
	}
	for _, delay := range delays {
		if s.wires != nil {
			s.wires.Delay(delay)
		}
		var acks, everywhere, took []time.Duration
		for i := range number(t, "CHAOS_LATENCY", 15) {
			p := s.crowd.persons[i%len(s.crowd.persons)]
			ack, all, inside := s.measure(t, p, s.replicas[i%len(s.replicas)])
			acks, everywhere, took = append(acks, ack), append(everywhere, all), append(took, inside)
		}
		t.Logf("round trip between machines +%s: answer after %s, of which the ledger's own time is %s; refused at all replicas after %s",
			2*delay, distribution(acks), distribution(took), distribution(everywhere))
	}
}

// measure revokes a person's credentials, and returns how long it took until the answer, until every replica refused, of clients
// that ask again and again, and between the ledger's call and its return.
func (s *site) measure(t *testing.T, p *person, through *replica) (ack, all, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settles)
	defer cancel()
	for _, r := range s.replicas { // the connections are there
		for s.use(ctx, p, p.credentials[0], r) != accepted {
			if ctx.Err() != nil {
				t.Fatal("nobody is let in")
			}
		}
	}
	var group sync.WaitGroup
	refusedAt := make([]time.Time, len(s.replicas))
	began := time.Now()
	for i, r := range s.replicas {
		group.Go(func() {
			for pass(ctx, pollPace) {
				if s.use(ctx, p, p.credentials[0], r) == refused {
					refusedAt[i] = time.Now()
					return
				}
			}
		})
	}
	result, answer, err := s.act(ctx, through.door.Load(), revocationsPath, revocationOf(gate.Object{"user": p.name}, "", "measured"))
	ack = time.Since(began)
	if result != done {
		t.Fatal(err)
	}
	group.Wait()
	for _, at := range refusedAt {
		all = max(all, at.Sub(began))
	}
	if result, _, err := s.act(ctx, through.door.Load(), liftPath(answer.Metadata.Name), liftOf("measured")); result != done {
		t.Fatal(err)
	}
	return ack, all, time.Duration(answer.Status.InForce.TookMilliseconds * float64(time.Millisecond))
}

// TestReplicaCutOff: a replica that lost etcd lets nobody in any more after a second, and cuts its streams after five.
func TestReplicaCutOff(t *testing.T) {
	s := newSite(t, siteOptions{persons: 3})
	if s.wires == nil {
		return // newSite said so
	}
	run := &trials{site: s}
	p, r := s.crowd.persons[0], s.replicas[0]
	open := run.open(t.Context(), p.credentials[0], r)
	if open.at == nil {
		t.Fatal("a watch is not let in")
	}
	defer open.stop()
	cut := time.Now()
	for i := range members {
		s.wires.Cut(s.member(i), r.host, true)
	}
	last := time.Time{}
	for ticker := time.NewTicker(pace); time.Since(cut) < 3*time.Second; <-ticker.C {
		if asked := time.Now(); s.use(t.Context(), p, p.credentials[0], r) == accepted {
			last = asked
		}
	}
	timer := time.NewTimer(settles)
	defer timer.Stop()
	select {
	case <-open.done:
	case <-timer.C:
		t.Fatal("the watch stays open")
	}
	t.Logf("after the cut: the last request that was let in came after %s, the stream ended after %s", last.Sub(cut), open.when.Sub(cut))
	if last.Sub(cut) > lastAccept {
		t.Errorf("a request is let in %s after etcd was lost", last.Sub(cut))
	}
	if after := open.when.Sub(cut); after > lastStream {
		t.Errorf("a stream is open %s after etcd was lost", after)
	}
	mended := time.Now()
	s.wires.Mend()
	for s.use(t.Context(), p, p.credentials[0], r) != accepted {
		if time.Since(mended) > settles {
			t.Fatal("the replica does not come back")
		}
	}
	t.Logf("after the cut was mended, requests were let in after %s", time.Since(mended))
}

// TestOneMemberLost measures what clients see when one etcd member of three is lost, in several ways.
func TestOneMemberLost(t *testing.T) {
	s := newSite(t, siteOptions{persons: 3})
	run := &trials{site: s, seed: 1}
	long := number(t, "CHAOS_TRIALS", 0) > shortTrials // each takes a quarter of a minute
	for _, f := range storeFaults() {
		if f.wires && s.wires == nil || f.name == "history compacted" || f.name == "all wires slow" || !long && f.name != "etcd leader stopped" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			if err := run.barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			undo, err := f.do(t.Context(), run, newDice(1, f.name))
			if err != nil {
				t.Fatal(err)
			}
			lasts, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			var group sync.WaitGroup
			kubectlErrors := 0
			group.Go(func() { kubectlErrors = s.kubectlGets(lasts, t) })
			lost := s.outages(lasts)
			group.Wait()
			began := time.Now()
			revoked := run.barrier(t.Context())
			t.Logf("requests were answered with 503 for %v of 8s at each replica; %d of the kubectl get that ran showed an error; a revoke then: %v after %s",
				lost, kubectlErrors, revoked, time.Since(began).Round(time.Millisecond))
			if err := undo(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := settled(t.Context(), run); err != nil {
				t.Error(err)
			}
		})
	}
}

// outages asks each replica until ctx ends, and returns for how long each refused for want of its ledger.
func (s *site) outages(ctx context.Context) []time.Duration {
	lost := make([]time.Duration, len(s.replicas))
	p := s.crowd.persons[1]
	var group sync.WaitGroup
	for i, r := range s.replicas {
		group.Go(func() {
			before, was := time.Now(), accepted
			for pass(ctx, pace) {
				v := s.use(ctx, p, p.credentials[0], r)
				if now := time.Now(); ctx.Err() == nil {
					if was != accepted {
						lost[i] += now.Sub(before)
					}
					before, was = now, v
				}
			}
			lost[i] = lost[i].Round(10 * time.Millisecond)
		})
	}
	group.Wait()
	return lost
}

// kubectlGets runs kubectl get through replicas in turn until ctx ends, and returns how often it failed.
func (s *site) kubectlGets(ctx context.Context, t *testing.T) (failed int) {
	t.Helper()
	if s.wires != nil { // kubectl does not reach the machines
		return 0
	}
	for n := 0; ctx.Err() == nil; n++ {
		k := s.kubectl(t, s.replicas[n%len(s.replicas)], s.crowd.persons[1].credentials[0])
		result, err := k.Run(context.WithoutCancel(ctx), "get", "configmaps") // the last one is brought to its end
		if err != nil || result.ExitCode != 0 {
			t.Logf("kubectl: %v %s", err, result)
			failed++
		}
	}
	return failed
}

// kubectl is kubectl at a replica with a credential.
func (s *site) kubectl(t *testing.T, r *replica, c *credential) kubectl.Command {
	t.Helper()
	file, access := filepath.Join(t.TempDir(), "kubeconfig"), r.door.Load().gate.Access()
	if c.pair != nil {
		access = access.WithCertificate(c.pair)
	} else {
		access = access.WithToken(c.token)
	}
	if err := access.Write(file); err != nil {
		t.Fatal(err)
	}
	return kubectl.Command{Path: shared.paths[binaries.Kubectl], Kubeconfig: file, PluginDir: filepath.Dir(shared.paths[binaries.KubectlOstiary])}
}

// TestLeaderKilledUnderLoad: kubectl shows no error when etcd's leader is killed, and commands that revoke go through.
func TestLeaderKilledUnderLoad(t *testing.T) {
	s := newSite(t, siteOptions{persons: 3, flat: true})
	run := &trials{site: s}
	m, err := s.etcd.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lasts, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var group sync.WaitGroup
	failed := 0
	group.Go(func() { failed = s.kubectlGets(lasts, t) })
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	lost := s.outages(lasts)
	group.Wait()
	t.Logf("etcd leader killed: requests were answered with 503 for %v at each replica", lost)
	if failed > 0 {
		t.Errorf("kubectl get showed %d errors", failed)
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := settled(t.Context(), run); err != nil {
		t.Error(err)
	}
	guardAt := s.kubectl(t, s.replicas[0], &credential{token: guardToken})
	name, err := guardAt.MustSucceed(t.Context(), "ostiary", "revoke", "--user="+s.crowd.persons[2].name, "--reason=by the command", "-o=name")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.replicas {
		if v := s.use(t.Context(), s.crowd.persons[2], s.crowd.persons[2].credentials[0], r); v != refused {
			t.Errorf("replica %d after the command: %v", r.index, v)
		}
	}
	if _, err := guardAt.MustSucceed(t.Context(), "ostiary", "lift", strings.TrimSpace(name), "--reason=enough"); err != nil {
		t.Fatal(err)
	}
}

// TestEmbeddedHasNoSocket: a gate with its own store listens where it is configured to, and nowhere else.
func TestEmbeddedHasNoSocket(t *testing.T) {
	began := time.Now()
	s := newSite(t, siteOptions{persons: 3, flat: true, embedded: true})
	t.Logf("ready %s after the start", time.Since(began))
	g := s.replicas[0].door.Load().gate
	listening, err := listeners(g.Process.PID())
	if err != nil {
		t.Fatal(err)
	}
	if len(listening) != 2 { // the gate's and the one for probes
		t.Errorf("it listens at %v", listening)
	}
	t.Logf("it listens at %v; %s", listening, resident(g.Process.PID()))
}

// listeners are the addresses of the TCP sockets on which a process listens, as the kernel writes them.
func listeners(pid int) ([]string, error) {
	const stateListen = "0A"
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, err
	}
	own := make(map[string]bool)
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			own[target] = true
		}
	}
	var all []string
	for _, table := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[3] == stateListen && own["socket:["+fields[9]+"]"] {
				all = append(all, fields[1])
			}
		}
		_ = f.Close()
	}
	return all, nil
}

// resident are a process' lines about its memory: all, what is its own, and what are pages of files, the binary's and the store's above all,
// which the kernel takes back when it needs them.
func resident(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err.Error()
	}
	var all []string
	for line := range strings.Lines(string(status)) {
		for _, name := range [...]string{"VmRSS:", "RssAnon:", "RssFile:"} {
			if rest, found := strings.CutPrefix(line, name); found {
				all = append(all, name+" "+strings.TrimSpace(rest))
			}
		}
	}
	return strings.Join(all, ", ")
}
