//go:build linux

package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ostiary/ostiary/e2e/chaos"
)

const (
	// shortTrials is how many revocations the short form makes at least; it goes on until every kind of fault was done.
	shortTrials = 100
	// longest bounds a run, in minutes; CHAOS_MINUTES ends it sooner, with as many trials as were made.
	longest = 180
)

// number is one that the environment may name.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func jsonInto(content []byte, into any) error { return json.Unmarshal(content, into) }

// TestRevocationsHold: credentials of three mechanisms are shut out and let in again through replicas that are stopped, killed and cut
// off, over an etcd whose members fare no better. No accept begins after a revoke returned, nothing is refused that is not shut
// out, and nothing on record is lost. CHAOS_TRIALS and CHAOS_SEED make it longer, or the same again.
func TestRevocationsHold(t *testing.T) {
	count := number(t, "CHAOS_TRIALS", shortTrials)
	seed := int64(number(t, "CHAOS_SEED", int(time.Now().Unix())))
	folder := t.ArtifactDir()
	t.Logf("seed %d, %d trials", seed, count)
	// Who is under a change whose outcome nobody can find out is left alone from then on: there must be enough persons.
	run := &trials{site: newSite(t, siteOptions{persons: 4*workers + count/4}), seed: seed, workers: workers}
	if count > shortTrials {
		run.workers = manyWorkers
	}

	ctx := t.Context()
	each := make(chan struct{})
	disturbed, calm := context.WithCancel(ctx)
	trying, enough := context.WithCancel(ctx)
	var group sync.WaitGroup
	var disturbance error
	group.Go(func() { disturbance = run.disturbed(disturbed, each) })
	group.Go(func() { run.run(trying) })
	began, ticker := time.Now(), time.NewTicker(time.Second)
	defer ticker.Stop()
	minutes := number(t, "CHAOS_MINUTES", longest)
	for done, all := 0, false; done < count || !all; done = int(run.made.Load()) {
		if time.Since(began) > time.Duration(minutes)*time.Minute {
			t.Logf("the time is over before all trials are made")
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		case <-each:
			all, each = true, nil
		case <-ticker.C:
			if s := int(time.Since(began).Seconds()); s%30 == 0 {
				t.Logf("after %ds: %d trials", s, done)
			}
		}
	}
	calm()
	enough()
	group.Wait()
	if disturbance != nil {
		t.Fatal(disturbance)
	}
	took := time.Since(began)
	if err := settled(ctx, run); err != nil {
		t.Error(err)
	}
	t.Logf("%d trials in %s\n%s", run.made.Load(), took.Round(time.Second), &run.counts)
	for _, err := range run.wrong {
		t.Error(err)
	}
	if err := run.history.Check(folder); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		kept := filepath.Join(folder, "history.jsonl")
		if err := run.history.Write(kept); err != nil {
			t.Error(err)
		}
		if copied, err := os.MkdirTemp("", "ostiary-chaos-"); err == nil { //nolint:usetesting // the test's own goes with it, unless it is told to stay
			if err := os.CopyFS(copied, os.DirFS(folder)); err == nil {
				kept = copied
			}
		}
		t.Errorf("seed %d; the history is in %s", seed, kept)
	}
}

// settled wants the site to be as the history says, once nothing is disturbed any more: everybody is answered everywhere, and
// what was acknowledged is on record.
func settled(ctx context.Context, run *trials) error {
	const useTakes, atOnce = 50 * time.Millisecond, 16 // far more than one takes
	uses := len(run.crowd.persons) * len(run.replicas) * len(run.crowd.persons[0].credentials)
	ctx, cancel := context.WithTimeout(ctx, settles+time.Duration(uses)*useTakes)
	defer cancel()
	if run.wires != nil {
		run.wires.Mend()
	}
	for _, r := range run.replicas {
		if err := r.door.Load().gate.WaitReady(ctx); err != nil {
			return err
		}
	}
	if err := run.barrier(ctx); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, p := range run.crowd.persons {
		for _, r := range run.replicas {
			for _, c := range p.credentials {
				group.Go(func() error {
					for {
						if v := run.use(ctx, p, c, r); v == accepted || v == refused {
							return nil
						}
						if err := ctx.Err(); err != nil {
							return fmt.Errorf("%s with %s at replica %d: no verdict after all is over: %w", p.name, c.name, r.index, err)
						}
					}
				})
			}
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	all, err := run.list(ctx, true)
	if err != nil {
		return err
	}
	record := make(map[string]bool, len(all)) // whether it was lifted
	for _, one := range all {
		record[one.Metadata.Name] = one.Status.Lifted != nil
	}
	return run.lost(record)
}

// lost returns an error if something that was acknowledged is not on record, or otherwise than it was acknowledged.
func (t *trials) lost(record map[string]bool) error {
	names := make(map[string]string) // of revocations by person and id
	for _, e := range t.history.Events() {
		key := fmt.Sprintf("%s %d", e.Person, e.Revocation)
		if e.Kind == chaos.RevokeStands {
			names[key] = e.Note
			if _, there := record[e.Note]; !there {
				return fmt.Errorf("revocation %s of %s was acknowledged, and is not on record", e.Note, e.Person)
			}
		}
		if e.Kind == chaos.LiftDone {
			if !record[names[key]] {
				return fmt.Errorf("revocation %s of %s was lifted, and the record does not say so", names[key], e.Person)
			}
			delete(names, key)
		}
	}
	for key, name := range names {
		if record[name] {
			return fmt.Errorf("revocation %s (%s) stands, and the record says that it was lifted", name, key)
		}
	}
	return nil
}
