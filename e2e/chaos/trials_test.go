//go:build linux

package chaos_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/e2e/chaos"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// workers is how many persons are under trial at a time, and manyWorkers in the long form: most of a trial is spent waiting
	// for what is disturbed.
	workers, manyWorkers = 24, 160
	// cutWithin is how long after the answer a stream's client may take to see its end, where all replicas applied the change;
	// fencedCut is the same where one was fenced.
	cutWithin = 3 * time.Second // a second is promised; the rest is for a machine that does something else
	fencedCut = 5500 * time.Millisecond
	// settles bounds the wait for what must come once nothing is disturbed any more.
	settles = stage.Deadline
)

// trials are the changes and uses of a run.
type trials struct {
	*site
	seed int64
	// workers is how many persons are under trial at a time.
	workers int
	pool    chan *person
	made    atomic.Int64
	mu      sync.Mutex
	wrong   []error
}

// fault of the system under test that the model has no word for.
func (t *trials) fail(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, fmt.Errorf(format, args...))
}

// run makes trials until ctx ends.
func (t *trials) run(ctx context.Context) {
	t.pool = make(chan *person, len(t.crowd.persons))
	for _, p := range t.crowd.persons {
		t.pool <- p
	}
	var group sync.WaitGroup
	for n := range t.workers {
		group.Go(func() {
			chance := newDice(t.seed, fmt.Sprintf("worker %d", n))
			for {
				select {
				case <-ctx.Done():
					return
				case p := <-t.pool:
					if t.trial(context.WithoutCancel(ctx), chance, p) {
						t.pool <- p
					}
				}
			}
		})
	}
	group.Wait()
}

// point notes something that happens at one moment.
func (t *trials) point(kind chaos.Kind, p *person, id int, credential, note string) {
	at := t.now()
	t.history.Add(chaos.Event{Kind: kind, Person: p.name, Revocation: id, Credential: credential, Begin: at, End: at, Note: note})
}

// trial shuts a person out, or one credential, and lets it in again. It returns false if the person is not to be used any more.
func (t *trials) trial(ctx context.Context, chance *dice, p *person) (again bool) {
	left := p.open != nil
	if !left && !t.revoke(ctx, chance, p) {
		return false
	}
	if p.open == nil || chance.below(4) == 0 {
		return true // what stands outlives whatever is done to the replicas meanwhile
	}
	return t.lift(ctx, chance, p, left)
}

// revoke is the first half.
func (t *trials) revoke(ctx context.Context, chance *dice, p *person) (again bool) {
	target, scope, about, covered := gate.Object{"user": p.name}, "", "", p.credentials
	switch chance.below(4) {
	case 0:
		scope = "soFar"
	case 1, 2:
		only := one(chance, p.credentials)
		target, about, covered = only.target, only.name, []*credential{only}
	}
	var open *stream
	if chance.below(8) == 0 {
		open = t.open(ctx, one(chance, covered), one(chance, t.replicas))
		defer open.stop()
	}
	id := int(t.nextID.Add(1))
	reason := fmt.Sprintf("trial %d", id)
	through := one(chance, t.replicas).door.Load()

	t.point(chaos.RevokeBegins, p, id, about, "")
	var beside sync.WaitGroup
	for range chance.below(3) {
		c, r := one(chance, p.credentials), one(chance, t.replicas)
		beside.Go(func() { t.use(ctx, p, c, r) })
	}
	defer beside.Wait()
	result, answer, err := t.act(ctx, through, revocationsPath, revocationOf(target, scope, reason))
	if result == unknown {
		result, answer = t.resolve(ctx, through, reason)
	}
	switch result {
	case never:
		t.counts.add(&t.counts.nevers)
		t.point(chaos.RevokeNever, p, id, about, fmt.Sprint(err))
		return true
	case unknown:
		t.counts.add(&t.counts.retired)
		return false
	case done:
	}
	t.point(chaos.RevokeStands, p, id, about, answer.Metadata.Name)
	returned := time.Now()
	t.everywhere(ctx, chance, p, covered)
	t.made.Add(1)
	p.open = &standing{id: id, name: answer.Metadata.Name, covered: covered}
	if open != nil {
		t.ended(open, returned, answer)
	}
	return true
}

// lift is the second half.
func (t *trials) lift(ctx context.Context, chance *dice, p *person, left bool) (again bool) {
	covered := p.open.covered
	if left {
		t.everywhere(ctx, chance, p, covered) // it was left standing, whatever was done to the replicas meanwhile
	}
	t.point(chaos.LiftBegins, p, p.open.id, "", "")
	for {
		through := one(chance, t.replicas).door.Load()
		result, _, err := t.act(ctx, through, liftPath(p.open.name), liftOf("the trial is over"))
		if result == done {
			break
		}
		lifted, err2 := t.lifted(ctx, p.open.name)
		if err2 == nil && lifted && t.barrier(ctx) == nil {
			break // an earlier try did it, and everybody has it by now
		}
		if ctx.Err() != nil {
			t.fail("%s: %w", p.open.name, errors.Join(err, err2))
			return false
		}
	}
	t.point(chaos.LiftDone, p, p.open.id, "", "")
	p.open = nil
	t.everywhere(ctx, chance, p, covered)
	return true
}

// everywhere uses a credential at each replica at once, and another of the person at one.
func (t *trials) everywhere(ctx context.Context, chance *dice, p *person, covered []*credential) {
	var group sync.WaitGroup
	for _, r := range t.replicas {
		c := one(chance, covered)
		group.Go(func() { t.use(ctx, p, c, r) })
	}
	c, r := one(chance, p.credentials), one(chance, t.replicas)
	group.Go(func() { t.use(ctx, p, c, r) })
	group.Wait()
}

// resolve finds out what came of a revocation whose outcome is not known. That is possible where whoever had it in hand
// is done with it: the gate answered, or its process is gone. What it may have left on its way into the store is shut out by the
// next change that comes through, as each is on condition that there was none before it.
func (t *trials) resolve(ctx context.Context, through *door, reason string) (outcome, *made) {
	t.counts.add(&t.counts.unknowns)
	if !through.ended() {
		// Stopped, or cut off from its client. It is waited for no longer than such things last.
		limit := time.NewTimer(2 * time.Second)
		defer limit.Stop()
		select {
		case <-through.gate.Process.Done():
		case <-limit.C:
		}
	}
	dead := through.ended()
	if t.barrier(ctx) != nil {
		return unknown, nil
	}
	all, err := t.list(ctx, false)
	if err != nil {
		return unknown, nil
	}
	for i := range all {
		if all[i].Spec.Reason == reason {
			return done, &all[i]
		}
	}
	if dead {
		return never, nil
	}
	return unknown, nil
}

// barrier makes a change that concerns nobody, and returns when every replica has it, or is fenced.
func (t *trials) barrier(ctx context.Context) error {
	deadline := time.Now().Add(actTimeout)
	var last error
	for try := 0; time.Now().Before(deadline); try++ {
		d := t.replicas[try%len(t.replicas)].door.Load()
		result, answer, err := t.act(ctx, d, revocationsPath, revocationOf(gate.Object{"user": "nobody at all"}, "", "barrier"))
		if result == done {
			_, _, _ = t.act(ctx, d, liftPath(answer.Metadata.Name), liftOf("barrier"))
			return nil
		}
		last = err
	}
	return last
}

// lifted reports whether a revocation was lifted.
func (t *trials) lifted(ctx context.Context, name string) (bool, error) {
	var errs []error
	for _, r := range t.replicas {
		status, content, err := r.door.Load().request(ctx, nil, http.MethodGet, revocationsPath+"/"+name, nil)
		if err == nil && status == http.StatusOK {
			var answer made
			if err := jsonInto(content, &answer); err != nil {
				return false, err
			}
			return answer.Status.Lifted != nil, nil
		}
		errs = append(errs, fmt.Errorf("status %d: %w", status, err))
	}
	return false, errors.Join(errs...)
}

// stream is a watch of one person at one replica.
type stream struct {
	at     *replica
	faults int64
	stop   context.CancelFunc
	done   chan struct{}
	when   time.Time // valid when done is closed
}

// open opens a watch; nil if the replica does not let it in now.
func (t *trials) open(ctx context.Context, c *credential, r *replica) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{at: r, faults: r.faults.Load(), stop: cancel, done: make(chan struct{})}
	started := make(chan bool, 1)
	go func() {
		defer close(s.done)
		d := r.door.Load()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.gate.URL+"/api/v1/namespaces/default/configmaps?watch=1", http.NoBody)
		if err != nil {
			started <- false
			return
		}
		if c.token != "" {
			request.Header.Set("Authorization", "Bearer "+c.token)
		}
		response, err := d.client(c).Do(request)
		if err != nil {
			started <- false
			return
		}
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewReader(response.Body)
		_, err = lines.ReadString('\n') // what is there already
		started <- err == nil && response.StatusCode == http.StatusOK
		for err == nil {
			_, err = lines.ReadString('\n')
		}
		s.when = time.Now()
	}()
	timer := time.NewTimer(useTimeout)
	defer timer.Stop()
	select {
	case ok := <-started:
		if ok {
			return s
		}
	case <-timer.C:
	}
	cancel()
	return &stream{stop: cancel}
}

// ended wants a stream to end in time after the answer to a revoke.
func (t *trials) ended(s *stream, returned time.Time, answer *made) {
	if s.at == nil {
		return
	}
	bound := cutWithin
	if !answer.Status.InForce.Complete {
		bound = fencedCut
	}
	timer := time.NewTimer(settles)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		t.fail("%s: a watch at replica %d is open %s after the answer", answer.Metadata.Name, s.at.index, settles)
		return
	}
	after := s.when.Sub(returned)
	if s.at.faults.Load() != s.faults {
		return // its process was stopped meanwhile, and nothing else can be said than that the stream ended
	}
	t.counts.mu.Lock()
	t.counts.streams = append(t.counts.streams, after)
	t.counts.mu.Unlock()
	if after > bound {
		t.fail("%s: a watch at replica %d ended %s after the answer, which said %+v", answer.Metadata.Name, s.at.index, after, answer.Status.InForce)
	}
}
