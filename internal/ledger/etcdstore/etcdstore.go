// Package etcdstore keeps the ledger in etcd. It is the one importer of etcd.
//
// The embedded etcd runs in this process: a single member, an in-process client and no socket at all. Nothing on the
// machine can ask it but this process, and its folder is closed to everyone else.
//
// An external etcd is a cluster that others run, reached by mutual TLS only. It is not asked before the versions of its
// members are known to be good; one that cannot be reached is asked again until it can.
package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ostiary/ostiary/internal/ledger"
)

const (
	// firstPage bounds the first answer of a listing, of which most want no more, nextPage the others: a few mebibytes.
	firstPage, nextPage = 1000, 5000
	// successor makes of a key the least one that is greater.
	successor = "\x00"
	// callTimeout bounds one call, so that a store that is gone hangs nobody. An election takes less than two seconds.
	callTimeout = 5 * time.Second
)

// Store is a ledger.Store below a prefix of etcd. Close it when done. It is safe for concurrent use.
type Store struct {
	prefix string
	link   atomic.Pointer[link]
	// refusal is why etcd must not be asked; nil where nothing speaks against it.
	refusal atomic.Pointer[refusal]
	outside *external // nil where it is embedded
	room    room
	failed  chan error
	close   func()
}

// link is how etcd is reached.
type link struct {
	client *clientv3.Client
	// watcher returns a client for one watch, and what ends it.
	watcher func() (*clientv3.Client, func(), error)
	// gone is closed when another link has taken its place. Nil is never.
	gone <-chan struct{}
}

// refusal is a reason in a pointer.
type refusal struct{ reason error }

var _ ledger.Store = (*Store)(nil)

// Close ends the store. Watches end with an error.
func (s *Store) Close() { s.close() }

// Failed tells once that the store has ended for good, and why: the process can only be started anew. Of an external store
// nothing ever comes.
func (s *Store) Failed() <-chan error { return s.failed }

// Ready returns an error while the store must not be asked, and says why. That it returns nil does not say that the store
// answers.
func (s *Store) Ready() error {
	if refused := s.refusal.Load(); refused != nil {
		return refused.reason
	}
	return nil
}

// use returns the link to ask by.
func (s *Store) use() (*link, error) {
	if err := s.Ready(); err != nil {
		return nil, err
	}
	return s.link.Load(), nil
}

// List implements ledger.Store.
func (s *Store) List(ctx context.Context, prefix, after string, each func(ledger.Record) error) (int64, error) {
	at, err := s.use()
	if err != nil {
		return 0, err
	}
	from, end := s.prefix+prefix, clientv3.GetPrefixRangeEnd(s.prefix+prefix)
	if after != "" {
		from = max(from, s.prefix+after+successor)
	}
	return s.list(ctx, at, from, end, 0, firstPage, each)
}

// list hands on what is from one key up to end, until each returns an error. The next page is fetched while one is looked at.
func (s *Store) list(ctx context.Context, at *link, from, end string, revision, first int64, each func(ledger.Record) error) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	pages := make(chan *clientv3.GetResponse)
	fetched := make(chan error, 1)
	go func() {
		defer close(pages)
		fetched <- at.pages(ctx, from, end, revision, first, pages)
	}()
	defer func() {
		cancel()
		for range pages { // until the other side has ended
		}
	}()
	for answer := range pages {
		if revision == 0 {
			revision = answer.Header.GetRevision()
		}
		for _, kv := range answer.Kvs {
			if err := each(s.record(kv)); err != nil {
				return 0, err
			}
		}
	}
	if err := <-fetched; err != nil {
		return 0, fault("list", err)
	}
	return revision, nil
}

// pages reads all keys from one up to end, page by page, as they were at a revision; 0 is that of the first page, of so many keys.
func (l *link) pages(ctx context.Context, from, end string, revision, first int64, pages chan<- *clientv3.GetResponse) error {
	for to, limit := end, first; ; limit = nextPage {
		answer, err := l.get(ctx, from, clientv3.WithRange(to), clientv3.WithLimit(limit), clientv3.WithRev(revision))
		if err != nil {
			return err
		}
		if revision == 0 {
			revision = answer.Header.GetRevision()
		}
		select {
		case pages <- answer:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if to == end && !answer.More {
			return nil
		}
		next := to
		if found := answer.Kvs; answer.More {
			from, next = string(found[len(found)/2].GetKey()), string(found[len(found)-1].GetKey())+successor
		}
		from, to = next, min(stride(from, next, answer.More), end)
	}
}

// get reads within callTimeout.
func (l *link) get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return l.client.Get(ctx, key, options...)
}

// errReplaced ends watches whose connection was opened with certificates that are out of date.
var errReplaced = errors.New("etcdstore: watch: the connection was replaced: certificates have changed")

// Watch implements ledger.Store.
func (s *Store) Watch(ctx context.Context, prefix string, after int64, each func(ledger.Change) error) error {
	at, err := s.use()
	if err != nil {
		return err
	}
	client, end, err := at.watcher()
	if err != nil {
		return fault("watch", err)
	}
	defer end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A member that lost its leader ends the watch, instead of leaving it open and silent.
	answers := client.Watch(clientv3.WithRequireLeader(ctx), s.prefix+prefix, clientv3.WithPrefix(), clientv3.WithRev(after+1), clientv3.WithFragment())
	for {
		var answer clientv3.WatchResponse
		open := false
		select {
		case answer, open = <-answers:
		case <-at.gone:
			return errReplaced
		}
		if !open {
			break
		}
		if err := answer.Err(); err != nil {
			return fault("watch", err)
		}
		for events := answer.Events; len(events) > 0; {
			// Events come in order, those of one transaction in one answer.
			change := ledger.Change{Revision: events[0].Kv.GetModRevision()}
			for len(events) > 0 && events[0].Kv.GetModRevision() == change.Revision {
				change.Records = append(change.Records, s.record(events[0].Kv)) // without a value where it was deleted
				events = events[1:]
			}
			if err := each(change); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("etcdstore: the watch ended without a reason")
}

// Read implements ledger.Store.
func (s *Store) Read(ctx context.Context, key string) (ledger.Record, error) {
	at, err := s.use()
	if err != nil {
		return ledger.Record{}, err
	}
	answer, err := at.get(ctx, s.prefix+key)
	if err != nil {
		return ledger.Record{}, fault("read", err)
	}
	if len(answer.Kvs) == 0 {
		return ledger.Record{Key: key}, nil
	}
	return s.record(answer.Kvs[0]), nil
}

// Commit implements ledger.Store.
func (s *Store) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	at, err := s.use()
	if err != nil {
		return 0, err
	}
	bytes := cost(t)
	if err := s.admit(t, bytes); err != nil {
		return 0, err
	}
	conditions := make([]clientv3.Cmp, 0, len(t.Unchanged))
	for _, record := range t.Unchanged {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(s.prefix+record.Key), "=", record.Revision))
	}
	writes := make([]clientv3.Op, 0, len(t.Puts)+len(t.Deletes))
	for _, record := range t.Puts {
		writes = append(writes, clientv3.OpPut(s.prefix+record.Key, string(record.Value)))
	}
	for _, key := range t.Deletes {
		writes = append(writes, clientv3.OpDelete(s.prefix+key))
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := at.client.Txn(ctx).If(conditions...).Then(writes...).Commit()
	switch {
	case err != nil:
		return 0, fault("commit", err)
	case !answer.Succeeded:
		return 0, ledger.ErrConflict
	default:
		s.room.since.Add(bytes)
		return answer.Header.GetRevision(), nil
	}
}

// Compact forgets the changes up to a revision; records stay. The embedded store does it by itself.
func (s *Store) Compact(ctx context.Context, revision int64) error {
	at, err := s.use()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := at.client.Compact(ctx, revision); err != nil {
		return fault("compact", err)
	}
	return nil
}

// record takes the prefix off a key.
func (s *Store) record(kv keyValue) ledger.Record {
	return ledger.Record{
		Key: strings.TrimPrefix(string(kv.GetKey()), s.prefix), Value: kv.GetValue(), Revision: kv.GetModRevision(), Created: kv.GetCreateRevision(),
	}
}

// keyValue is what is read of etcd's.
type keyValue interface {
	GetKey() []byte
	GetValue() []byte
	GetModRevision() int64
	GetCreateRevision() int64
}

// fault names an operation that failed, in the ledger's errors where it has one.
func fault(operation string, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("etcdstore: %s: %w", operation, ledger.ErrCompacted)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("etcdstore: %s: %w", operation, ledger.ErrFull)
	case errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("etcdstore: %s: %w; etcd knows the gate by the common name of its certificate: give that user a role with readwrite for the prefix", operation, err)
	default:
		return fmt.Errorf("etcdstore: %s: %w", operation, err)
	}
}
