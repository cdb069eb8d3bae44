//go:build linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/etcd"
	"github.com/ostiary/ostiary/e2e/internal/network"
)

const (
	// evicting is how long a replica is stopped to be taken for dead by the others, and removed: 10 s, then a mark that stands.
	evicting = 18 * time.Second
	// stutter is how long a member is stopped and goes on, in turn, to be late with everything, as with a slow disk.
	stutterStopped = 90 * time.Millisecond
	stutterGoes    = 30 * time.Millisecond
	// slowWire is the delay of every packet on a slow wire, one way.
	slowWire = 10 * time.Millisecond
)

// fault is something that is done to the site. do returns what undoes it.
type fault struct {
	name  string
	wires bool // it takes wires that can be cut
	// seldom is what takes so long that little else would be seen.
	seldom bool
	lasts  func(*dice) time.Duration
	do     func(ctx context.Context, t *trials, chance *dice) (undo func(context.Context) error, err error)
}

// some is how long most faults last: shorter and longer than views are fresh, and streams judged by them.
func some(chance *dice) time.Duration {
	return time.Duration(300+chance.below(3200)) * time.Millisecond
}

// replicaFaults are what is done to replicas.
func replicaFaults() []fault {
	return []fault{
		{"replica cut from etcd", true, false, some, cutReplica(true)},
		{"replica does not hear etcd", true, false, some, cutReplica(false)},
		{"replica cut from one etcd member", true, false, some, func(_ context.Context, t *trials, chance *dice) (func(context.Context) error, error) {
			r := one(chance, t.replicas)
			t.wires.Cut(r.host, t.member(chance.below(members)), true)
			return func(context.Context) error { t.wires.MendHost(r.host); return nil }, nil
		}},
		{"replica stopped", false, false, some, stopReplica},
		{"replica stopped until it is taken for dead", false, true, func(*dice) time.Duration { return evicting }, stopReplica},
		{"replica killed", false, false, some, func(_ context.Context, t *trials, chance *dice) (func(context.Context) error, error) {
			r := one(chance, t.replicas)
			return func(ctx context.Context) error { return r.start(ctx) }, r.kill()
		}},
	}
}

func cutReplica(both bool) func(context.Context, *trials, *dice) (func(context.Context) error, error) {
	return func(_ context.Context, t *trials, chance *dice) (func(context.Context) error, error) {
		r := one(chance, t.replicas)
		for i := range members {
			t.wires.Cut(t.member(i), r.host, both)
		}
		return func(context.Context) error { t.wires.MendHost(r.host); return nil }, nil
	}
}

func stopReplica(_ context.Context, t *trials, chance *dice) (func(context.Context) error, error) {
	r := one(chance, t.replicas)
	return func(context.Context) error { return r.signal(syscall.SIGCONT) }, r.signal(syscall.SIGSTOP)
}

// storeFaults are what is done to etcd.
func storeFaults() []fault {
	return []fault{
		{"etcd leader killed", false, false, some, func(ctx context.Context, t *trials, _ *dice) (func(context.Context) error, error) {
			m, err := t.etcd.Leader(ctx)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context) error {
				if err := m.Restart(); err != nil {
					return err
				}
				return m.WaitReady(ctx)
			}, m.Kill()
		}},
		{"etcd leader stopped", false, false, some, func(ctx context.Context, t *trials, _ *dice) (func(context.Context) error, error) {
			m, err := t.etcd.Leader(ctx)
			if err != nil {
				return nil, err
			}
			return func(context.Context) error { return m.Resume() }, m.Pause()
		}},
		{"etcd leader cut from the other members", true, false, some, func(ctx context.Context, t *trials, _ *dice) (func(context.Context) error, error) {
			m, err := t.etcd.Leader(ctx)
			if err != nil {
				return nil, err
			}
			return t.isolate(m)
		}},
		{"etcd member cut from the other members", true, false, some, func(_ context.Context, t *trials, chance *dice) (func(context.Context) error, error) {
			return t.isolate(one(chance, t.etcd.Members))
		}},
		{"etcd leader cut off from everything", true, false, some, func(ctx context.Context, t *trials, _ *dice) (func(context.Context) error, error) {
			m, err := t.etcd.Leader(ctx)
			if err != nil {
				return nil, err
			}
			for i := range replicas {
				t.wires.Cut(t.replicas[i].host, t.machine(m), true)
			}
			return t.isolate(m)
		}},
		{"etcd leader slow", false, false, some, slowLeader},
		{"history compacted", false, false, func(*dice) time.Duration { return 0 }, func(ctx context.Context, t *trials, chance *dice) (func(context.Context) error, error) {
			return nil, one(chance, t.etcd.Members).Compact(ctx)
		}},
		{"all wires slow", true, false, some, func(_ context.Context, t *trials, _ *dice) (func(context.Context) error, error) {
			t.wires.Delay(slowWire)
			return func(context.Context) error { t.wires.Delay(0); return nil }, nil
		}},
	}
}

// machine is the one that a member of etcd runs on.
func (t *trials) machine(m *etcd.Member) *network.Host {
	for i, other := range t.etcd.Members {
		if other == m {
			return t.member(i)
		}
	}
	return nil
}

// isolate cuts a member from the others; replicas still reach it.
func (t *trials) isolate(m *etcd.Member) (func(context.Context) error, error) {
	at := t.machine(m)
	for i := range members {
		if other := t.member(i); other != at {
			t.wires.Cut(at, other, true)
		}
	}
	return func(context.Context) error { t.wires.MendHost(at); return nil }, nil
}

// slowLeader stops the leader again and again for moments.
func slowLeader(ctx context.Context, t *trials, _ *dice) (func(context.Context) error, error) {
	m, err := t.etcd.Leader(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		for {
			err := m.Pause()
			pass(ctx, stutterStopped)
			err = errors.Join(err, m.Resume())
			if err != nil || !pass(ctx, stutterGoes) {
				ended <- err
				return
			}
		}
	}()
	return func(context.Context) error {
		cancel()
		return <-ended
	}, nil
}

// pass lets time pass, and reports whether all of it did.
func pass(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// disturb does faults, each kind once and then by chance, until ctx ends. It closes each when every kind was done. What
// cannot be done, as there is no leader for example, is left out.
func (t *trials) disturb(ctx context.Context, lane string, faults []fault, each chan<- struct{}) error {
	chance := newDice(t.seed, lane)
	var kinds []fault
	for _, f := range faults {
		if !f.wires || t.wires != nil {
			kinds = append(kinds, f)
		}
	}
	todo := append([]fault(nil), kinds...)
	for {
		f := one(chance, kinds)
		if f.seldom && chance.below(4) > 0 {
			f = one(chance, kinds)
		}
		if len(todo) > 0 {
			i := chance.below(len(todo))
			f = todo[i]
			todo = append(todo[:i:i], todo[i+1:]...)
		}
		undo, err := f.do(ctx, t, chance)
		if err != nil && ctx.Err() == nil {
			todo = append(todo, f) // another time
		} else {
			t.counts.fault(f.name)
		}
		goes := pass(ctx, f.lasts(chance))
		if undo != nil {
			if err := undo(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("undo %q: %w", f.name, err)
			}
		}
		if len(todo) == 0 && each != nil {
			close(each)
			each = nil
		}
		if !goes || !pass(ctx, time.Duration(300+chance.below(2500))*time.Millisecond) {
			return nil
		}
	}
}

// disturbed runs both lanes until ctx ends, and closes each when every kind of fault was done.
func (t *trials) disturbed(ctx context.Context, each chan<- struct{}) error {
	var group sync.WaitGroup
	var errs [2]error
	lanes := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	group.Go(func() { errs[0] = t.disturb(ctx, "replicas", replicaFaults(), lanes[0]) })
	group.Go(func() { errs[1] = t.disturb(ctx, "etcd", storeFaults(), lanes[1]) })
	go func() {
		for _, lane := range lanes {
			select {
			case <-lane:
			case <-ctx.Done():
				return
			}
		}
		close(each)
	}()
	group.Wait()
	return errors.Join(errs[:]...)
}
