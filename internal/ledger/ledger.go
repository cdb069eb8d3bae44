package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// Where records stand in the store.
const (
	headKey       = "head"     // rewritten by every revocation: the fence, and the count of the ledger's order
	revocationKey = "rev/"     // those that stand, by name
	pastKey       = "past/"    // those that were lifted
	replicaKey    = "replica/" // the gates that have this ledger, by name
	entryKey      = "entry/"   // credentials, by what hides their ids
	useKey        = "use/"     // when they were used, the same
	askKey        = "ask/"     // what replicas ask each other
	answerKey     = "answer/"  // and what they answer
)

const (
	// resyncWait is how long a mirror that lost the store waits before it asks again. It loses no time that matters: the view
	// is fresh for a second after it was proven.
	resyncWait = 100 * time.Millisecond
	// batch is how many records one transaction writes, below the 128 operations that etcd takes by default.
	batch = 60
	// questionsKept bounds the questions of other replicas that wait to be answered.
	questionsKept = 16
	// lately is for how many revocations it is kept how many streams fell, for whoever waits to hear it.
	lately = 100
)

// Config is what a Ledger is made of.
type Config struct {
	// Store is required.
	Store Store
	// Replica is this process's name among those that have the ledger; empty means that it is the only one. It must be
	// new with every start.
	Replica string
	// Logger takes what operators should know. Required.
	Logger *slog.Logger
	// Changed is called after every change, before the change counts as applied: it cuts the streams that may not go on,
	// and returns how many fell under which revocation. Nil where there are none.
	Changed func() map[string]int
	// Answer answers what another replica asks, in at most a mebibyte. Nil answers nothing.
	Answer func(question []byte) []byte
	// Removed is told how many entries somebody deleted past the ledger, whenever that is noticed. Nil is not told.
	Removed func(entries int)
	// Names hides credentials' ids in keys. Required.
	Names Names
	// Strict are the mechanisms whose credentials must be on record before they count (G-08).
	Strict map[identity.Mechanism]bool
	// Retention is how long an entry is kept after its credential ended; 0 is for ever.
	Retention time.Duration
	// BreakGlass are credentials that are let in while the ledger cannot be read, unless it was known before that they are
	// shut out. Nil or empty, which it should be, names none.
	BreakGlass map[identity.CredentialID]bool
	// Checkpoint is how a rollback of the store is noticed after a start. Nil where it cannot be.
	Checkpoint Checkpoint
	// BestEffort is how long requests are still judged by a view that cannot be proven fresh: revocations may not hold in
	// that time. 0 refuses them after one second, as anything that is to be trusted should.
	BestEffort time.Duration
	// Parts are what others keep in the ledger.
	Parts []Part
}

// Names hides what stands in keys, which a store never encrypts.
type Names interface {
	// Hide makes of parts a name that tells nothing of them to those who lack a key; the same for the same parts in every
	// process that has the ledger.
	Hide(parts ...string) string
}

// Ledger judges credentials by all revocations that stand. It is safe for concurrent use.
type Ledger struct {
	config   Config
	mirror   *mirror
	usage    usage
	lookups  *rate.Limiter
	recorder *recorder
	acts     chan *pending
	over     chan struct{}             // closed when no more acts are taken
	proven   atomic.Pointer[time.Time] // the last moment at which the mirror is known to have held everything
	spans    *spans
	held     *held     // nil where nothing is known for certain. It is follow's own
	late     time.Time // since when the mirror lacks what the fence names; zero if it does not. It is the prover's own

	mu       sync.Mutex
	applied  int64         // revision up to which everything is in force
	settled  int64         // the last of those that concerned requests
	news     chan struct{} // closed when applied or replicas changes
	replicas map[string]*replicaView
	cut      map[string]int // streams that fell, by revocation, for those applied lately
	alarms   map[string]time.Time
	unwatch  context.CancelCauseFunc // ends the watch under way; nil if there is none
	busy     bool                    // with a change that it brought
	heard    time.Time               // when it was done with the last one

	questions chan string

	mark    atomic.Pointer[Mark]  // what is in force
	stands  atomic.Pointer[stand] // the head as the mirror has it; nil before there is one
	trouble atomic.Pointer[error]
	unsound atomic.Bool // what the store holds must not be judged by
}

// New returns a ledger that refuses everything until Run has read the store.
func New(config Config) (*Ledger, error) {
	if config.Store == nil || config.Logger == nil || config.Names == nil {
		return nil, errors.New("ledger: store, names and logger are required")
	}
	return &Ledger{
		config: config, mirror: newMirror(), spans: newSpans(config.Parts), news: make(chan struct{}), replicas: make(map[string]*replicaView),
		usage: usage{uses: make(map[identity.CredentialID]Use)}, recorder: newRecorder(), acts: make(chan *pending), over: make(chan struct{}), alarms: make(map[string]time.Time),
		questions: make(chan string, questionsKept), lookups: rate.NewLimiter(lookups, lookups),
	}, nil
}

// Run follows the store until ctx ends, and then returns nil.
func (l *Ledger) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { l.follow(ctx); return nil })
	group.Go(func() error { l.prove(ctx); return nil })
	group.Go(func() error { l.record(ctx); return nil })
	group.Go(func() error { l.acting(ctx); return nil })
	group.Go(func() error { l.flushing(ctx); return nil })
	group.Go(func() error { l.tidying(ctx); return nil })
	if l.config.Replica != "" {
		group.Go(func() error { l.announce(ctx); return nil })
		group.Go(func() error { l.evict(ctx); return nil })
		group.Go(func() error { l.answering(ctx); return nil })
	}
	return group.Wait()
}

// Judge refuses a credential that is shut out, or not on record where it must be, and every credential while the view of the
// ledger may be outdated. One that it has not seen before is on record when it returns. It returns nil or a *Refusal. A
// credential that it has judged since the last change costs a few comparisons and no allocation.
func (l *Ledger) Judge(r *authn.Request, cred *authn.Credential) error {
	now := time.Now()
	// Freshness first: the mirror that is looked into holds at least what was proven.
	switch l.freshness(now, r.Open) {
	case fresh:
	case unproven:
		r.Accepted = ReasonUnproven
		l.alarm("best-effort", "requests are let in without knowing of new revocations: the ledger cannot be read, and best effort is configured")
	default:
		return l.breakGlass(r, cred, now)
	}
	known, clean := l.mirror.remembered(cred)
	if !clean {
		var err error
		if known, err = l.examine(r, cred, known, now); err != nil {
			return err
		}
	}
	if !r.Open && known != nil {
		l.usage.note(known, r, cred, now)
	}
	return nil
}

// breakGlass lets in who is named for the time when nobody can be judged, and says so. Everybody else is refused.
func (l *Ledger) breakGlass(r *authn.Request, cred *authn.Credential, now time.Time) error {
	if !l.config.BreakGlass[cred.ID] {
		return unavailable
	}
	if found := l.mirror.find(cred, now); found.revocation != "" {
		return &Refusal{Revocation: found.revocation}
	}
	r.Accepted = ReasonBreakGlass
	l.alarm("break-glass "+cred.ID.String(), "a credential is let in by breaking the glass: the ledger cannot be read",
		slog.String("credential_id", cred.ID.Value), slog.String("user", cred.Identity.Username), slog.String("source", r.Source.String()))
	return nil
}

// examine looks a credential up, and records it if nobody did. What it returns is nil where nothing may be remembered.
func (l *Ledger) examine(r *authn.Request, cred *authn.Credential, known *seen, now time.Time) (*seen, error) {
	for {
		generation := l.mirror.generation.Load() // before looking, so that a change meanwhile is looked at the next time
		found := l.mirror.find(cred, now)
		if found.revocation != "" {
			return nil, &Refusal{Revocation: found.revocation}
		}
		if found.recorded || cred.ID.IsZero() || known != nil && known.excused.Load() > now.Unix() {
			return l.mirror.remember(cred, known, generation), nil
		}
		if r.Open && !l.config.Strict[cred.Mechanism] {
			return nil, nil //nolint:nilnil // its entry was removed, and it is good: the next request records it
		}
		if err := l.admitNew(r, cred, found.id); err != nil {
			return nil, err
		}
		if !l.mirror.has(found.id) {
			known = l.mirror.remember(cred, known, 0)
			known.excused.Store(now.Add(remind).Unix())
		}
		// Once more: somebody may have shut it out while it was being recorded, and this replica not have heard of it.
		now = time.Now()
		if l.freshness(now, r.Open) == lost {
			return nil, unavailable
		}
	}
}

// The reasons of refusals beside authn.ReasonUnavailable.
const (
	ReasonRevoked    authn.Reason = "revoked"
	ReasonUnrecorded authn.Reason = "unrecorded"
)

// How credentials are let in while the ledger cannot be read, for the record.
const (
	ReasonUnproven   authn.Reason = "unproven"    // by best effort
	ReasonBreakGlass authn.Reason = "break_glass" // named for this emergency
)

// Errors that a Refusal wraps.
var (
	ErrRevoked     = errors.New("the credential is revoked")
	ErrUnrecorded  = errors.New("the credential is not on record, and its mechanism takes only those that are")
	ErrUnavailable = errors.New("the ledger could not be read for too long: what it says now is not known")
)

// Refusal says that a credential is shut out, or that nobody can say. The zero value is the latter.
type Refusal struct {
	// Revocation is the name of the one that shuts it out; empty if none does.
	Revocation string
	// Unrecorded says that it is not on record, where it must be.
	Unrecorded bool
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Revocation == "" {
		return r.Unwrap().Error()
	}
	return ErrRevoked.Error() + " by " + r.Revocation
}

// Unwrap gives ErrRevoked, ErrUnrecorded or ErrUnavailable.
func (r *Refusal) Unwrap() error {
	switch {
	case r.Revocation != "":
		return ErrRevoked
	case r.Unrecorded:
		return ErrUnrecorded
	default:
		return ErrUnavailable
	}
}

// RefusalReason implements authn.Refusal.
func (r *Refusal) RefusalReason() authn.Reason {
	switch {
	case r.Revocation != "":
		return ReasonRevoked
	case r.Unrecorded:
		return ReasonUnrecorded
	default:
		return authn.ReasonUnavailable
	}
}

var _ authn.Refusal = (*Refusal)(nil)

// follow keeps the mirror up to date: it reads all, watches, and asks for what changed when the watch is lost. What it had stays in
// force meanwhile.
func (l *Ledger) follow(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		err := l.sync(ctx)
		if ctx.Err() != nil {
			return
		}
		l.trouble.Store(&err)
		_, refused := errors.AsType[*unsoundError](err)
		if refused {
			l.unsound.Store(true)
			l.proven.Store(nil) // at once: what is in the mirror may be too little
		}
		if refused || errors.Is(err, errPutBack) {
			l.held = nil
		}
		if err.Error() != said && !errors.Is(err, ErrCompacted) && !errors.Is(err, errPutBack) && !errors.Is(err, errRemoved) {
			said = err.Error()
			if refused {
				l.config.Logger.Error("the ledger is refused, and all requests with it", slog.String("cause", said))
			} else {
				l.config.Logger.Error("the ledger's store is lost; asking again", slog.String("cause", said))
			}
		}
		if refused {
			wait(ctx, freshFor) // a person has to help
		}
		wait(ctx, resyncWait)
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// watch takes in every change after what is held.
func (l *Ledger) watch(ctx context.Context) error {
	now := *l.stands.Load()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.mu.Lock()
	l.unwatch = cancel
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.unwatch = nil
		l.mu.Unlock()
	}()
	err := l.config.Store.Watch(ctx, "", l.held.revision, func(change Change) error {
		before := now
		for _, record := range change.Records {
			if err := now.take(record); err != nil {
				return unsound(err)
			}
		}
		// Before anything is taken over: a revocation that was removed past the ledger stays in force.
		if err := now.head.whole(l.mirror.after(change.Records)); err != nil {
			return unsound(err)
		}
		if now.record.Revision != before.record.Revision {
			// By the watch nothing is left out: it is a later state, unless somebody wrote an older head anew.
			mark := before.head.mark()
			if err := now.head.behind(&mark); err != nil {
				return unsound(err)
			}
			l.advance(now.head)
			latest := now
			l.stands.Store(&latest)
		}
		l.mu.Lock()
		l.busy = true
		generation := l.mirror.generation.Load()
		for _, record := range change.Records {
			if err := l.take(l.mirror, l.replicas, record); err != nil {
				l.mu.Unlock()
				return unsound(err)
			}
			if strings.HasPrefix(record.Key, askKey) {
				l.takeQuestion(record)
			}
		}
		l.mu.Unlock()
		removed := l.held.note(l.spans, change)
		if l.mirror.generation.Load() == generation && !fences(change) {
			l.note(change.Revision)
		} else {
			l.settle(change.Revision)
		}
		return l.missed(removed)
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// take puts one record where it belongs. What is not understood is an error, and keeps the view from being fresh: it may
// be a revocation that a later version wrote.
func take(m *mirror, replicas map[string]*replicaView, record Record) error {
	if name, ok := strings.CutPrefix(record.Key, revocationKey); ok {
		if record.Value == nil {
			m.drop(name)
			return nil
		}
		revocation, err := decodeRevocation(name, record.Value)
		if err != nil {
			return err
		}
		m.put(revocation)
		m.tally(name, recordSum(record.Key, record.Value))
		return nil
	}
	if name, ok := strings.CutPrefix(record.Key, replicaKey); ok {
		return takeReplica(replicas, name, record)
	}
	if strings.HasPrefix(record.Key, entryKey) {
		return takeEntry(m, record)
	}
	if record.Key == headKey {
		m.head.Store(max(m.head.Load(), record.Revision))
		return nil
	}
	if unread(record.Key) != "" {
		return nil
	}
	return fmt.Errorf("ledger: the store holds a record of a kind that this version does not know, %q; run the version that wrote it", record.Key)
}

// unreadKeys are the groups of records that are read only when they are asked for.
func unreadKeys() []string { return []string{actKey, answerKey, askKey, pastKey, useKey} }

// unread returns the group of a record that is read only when it is asked for; empty for all others.
func unread(key string) string {
	for _, prefix := range unreadKeys() {
		if strings.HasPrefix(key, prefix) {
			return prefix
		}
	}
	return ""
}

// takeEntry notes that a credential is on record, or no longer.
func takeEntry(m *mirror, record Record) error {
	if record.Value == nil {
		return nil // its tombstone said so
	}
	id, k, err := decodeHead(record.Key, record.Value)
	if err != nil {
		return err
	}
	if uint64(k) == forgotten {
		m.forget(id)
		return nil
	}
	m.record(id, k.in(bucketOf(record.Key)))
	return nil
}

// settle makes the streams follow a change, and then counts it as applied.
func (l *Ledger) settle(revision int64) {
	var cut map[string]int
	if l.config.Changed != nil {
		cut = l.config.Changed()
	}
	l.mu.Lock()
	l.settled = max(l.settled, revision)
	if l.cut == nil || len(l.cut) > lately {
		l.cut = make(map[string]int)
	}
	for name, n := range cut {
		l.cut[name] += n
	}
	l.mu.Unlock()
	l.note(revision)
}

// note counts a revision as applied, and wakes those who wait for it.
func (l *Ledger) note(revision int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = max(l.applied, revision)
	l.busy, l.heard = false, time.Now()
	close(l.news)
	l.news = make(chan struct{})
}

// await waits until done, which is called under the lock, or ctx's end.
func (l *Ledger) await(ctx context.Context, done func() bool) error {
	for {
		l.mu.Lock()
		finished, news := done(), l.news
		l.mu.Unlock()
		if finished {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		}
	}
}

// decode reads a value that a ledger wrote. It is strict: a field that is not known may change what the others mean.
func decode(key string, value []byte, into any) error {
	decoder := json.NewDecoder(strings.NewReader(string(value)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("ledger: record %s cannot be read: %w", key, err)
	}
	if decoder.More() {
		return fmt.Errorf("ledger: record %s has something after its end", key)
	}
	return nil
}

func decodeRevocation(name string, value []byte) (*Revocation, error) {
	r := &Revocation{Name: name}
	if err := decode(revocationKey+name, value, r); err != nil {
		return nil, err
	}
	if err := r.Target.check(); err != nil {
		return nil, fmt.Errorf("ledger: record %s%s: %w", revocationKey, name, err)
	}
	return r, nil
}
