package accesslog

import (
	"sync"
	"time"
)

const (
	// recentKept is how many refusals are remembered: at a thousand a second, those of the last seconds, which is when
	// somebody asks.
	recentKept = 4096
	// recentCause bounds what is remembered of why: 4 MB in all, whatever causes say.
	recentCause = 1024
)

// Refusal is a request that was refused, with the inside of why. It is for those who may know.
type Refusal struct {
	RequestID, Source, Mechanism, CredentialID, User, Cluster string
	Time                                                      time.Time
	Reason, Cause                                             string
	Status                                                    int
}

// Recent remembers the last refusals, by their requests' ids. It is a Sink, and safe for concurrent use. Make one with
// NewRecent.
type Recent struct {
	mu   sync.Mutex
	next int
	ring [recentKept]Refusal
	at   map[string]int
}

// NewRecent returns one that remembers nothing yet.
func NewRecent() *Recent { return &Recent{at: make(map[string]int, recentKept)} }

// Record implements Sink.
func (r *Recent) Record(e *Event) {
	if e.Verdict != Deny || e.RequestID == "" {
		return
	}
	one := Refusal{
		RequestID: e.RequestID, Source: e.Source, Mechanism: e.Mechanism, CredentialID: short(e.CredentialID), User: short(e.User), Cluster: e.Cluster,
		Time: e.Time, Reason: e.Reason, Status: e.Status,
	}
	if e.Cause != nil {
		one.Cause = short(e.Cause.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, r.ring[r.next].RequestID)
	r.ring[r.next], r.at[one.RequestID] = one, r.next
	r.next = (r.next + 1) % recentKept
}

// Find returns the refusal of a request; ok is false where it is not remembered, or was not refused here.
func (r *Recent) Find(requestID string) (refusal Refusal, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.at[requestID]
	if !ok {
		return Refusal{}, false
	}
	return r.ring[i], true
}

func short(text string) string {
	if len(text) > recentCause {
		return text[:recentCause] + cutMark
	}
	return text
}

var _ Sink = (*Recent)(nil)
