package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lead is a sign-in that one program carries out while others wait for its end.
type lead struct {
	pid  int
	done chan struct{}
	err  error
	over bool
}

// finish ends the wait. The keeper's lock guards it. The first end counts.
func (l *lead) finish(err error) {
	if !l.over {
		l.over, l.err = true, err
		close(l.done)
	}
}

// errNotLed says that the program that was to sign the person in has not done so.
var errNotLed = errors.New("did not succeed")

// lead makes one caller the one that signs the person in: leading is called, and the others wait, until ctx of that caller
// ends. For the others it returns when a session was brought, or an error when it was not: they do not try in turn, since a
// person who closed one window does not want nineteen more.
func (k *keeper) lead(ctx context.Context, name string, pid int, leading func() error) error {
	k.mu.Lock()
	if k.ctx.Err() != nil {
		k.mu.Unlock()
		return errEnding
	}
	if h := k.sessions[name]; h != nil && h.current != nil && h.over == nil && !h.leaving && h.current.Holds(k.now()) {
		k.mu.Unlock()
		return nil // somebody was faster
	}
	if l := k.leads[name]; l != nil {
		k.mu.Unlock()
		select {
		case <-l.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.err != nil {
			return fmt.Errorf("the sign-in that process %d began %w", l.pid, l.err)
		}
		return nil
	}
	l := &lead{pid: pid, done: make(chan struct{})}
	k.leads[name] = l
	k.mu.Unlock()
	err := leading()
	if err == nil {
		<-ctx.Done()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	l.finish(errNotLed)
	delete(k.leads, name)
	k.empty = time.Time{}
	return err
}
