package session

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/issuer"
)

// Book is all sessions, credentials and issuing keys in memory. Its Take methods are told of records by the ledger, one at a
// time; all others are safe for concurrent use, also with them.
type Book struct {
	// root is whose issuing keys count; nil believes none.
	root *x509.Certificate

	// generation rises with every change that may concern a credential which was accepted before.
	generation atomic.Uint64

	mu          sync.RWMutex
	sessions    map[string]*Session
	ends        map[string]*End
	credentials map[issuer.ID]*Credential
	of          map[string][]issuer.ID // credentials by session
	keys        map[Digest]string      // the session that a key belongs to
	issuers     map[string]*Issuing
}

// Issuing is an issuing key that counts.
type Issuing struct {
	ID          string // issuer.KeyID
	Certificate *x509.Certificate
	// Chain are the digests of its key and the root's, as revocations name them.
	Chain []string
}

// NewBook returns an empty book. root may be nil.
func NewBook(root *x509.Certificate) *Book {
	return &Book{
		root: root, sessions: make(map[string]*Session), ends: make(map[string]*End), credentials: make(map[issuer.ID]*Credential), of: make(map[string][]issuer.ID),
		keys: make(map[Digest]string), issuers: make(map[string]*Issuing),
	}
}

// Generation is another number after every change that may concern a credential which was accepted before.
func (b *Book) Generation() uint64 { return b.generation.Load() }

// TakeSession takes in a session, or how it ended, or that either is gone.
func (b *Book) TakeSession(name string, value []byte) error {
	if id, ok := strings.CutSuffix(name, EndSuffix); ok {
		return b.takeEnd(id, value)
	}
	var s *Session
	if value != nil {
		var err error
		if s, err = decodeSession(name, value); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.sessions[name]
	if s == nil {
		delete(b.sessions, name)
	} else {
		s.Ended = b.ends[name]
		b.sessions[name] = s
	}
	if known {
		b.generation.Add(1)
	}
	return nil
}

func (b *Book) takeEnd(id string, value []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if value == nil {
		delete(b.ends, id) // its session went before
		return nil
	}
	end := new(End)
	if err := decode(id, value, end); err != nil {
		return err
	}
	b.ends[id] = end
	if s := b.sessions[id]; s != nil {
		ended := *s
		ended.Ended = end
		b.sessions[id] = &ended
		b.generation.Add(1)
	}
	return nil
}

// TakeCredential takes in a credential, or that it is gone.
func (b *Book) TakeCredential(name string, value []byte) error {
	if value == nil {
		b.forget(name)
		return nil
	}
	c, err := decodeCredential(name, value)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, known := b.credentials[c.ID]
	b.credentials[c.ID] = c
	if known {
		b.generation.Add(1)
		return nil
	}
	b.of[c.Session] = append(b.of[c.Session], c.ID)
	if c.Certificate != nil {
		b.keys[c.Certificate.Key] = c.Session
	}
	return nil
}

func (b *Book) forget(name string) {
	id, _ := issuer.ParseID(name)
	b.mu.Lock()
	defer b.mu.Unlock()
	c, known := b.credentials[id]
	if !known {
		return
	}
	b.generation.Add(1)
	delete(b.credentials, id)
	rest := slices.DeleteFunc(b.of[c.Session], func(other issuer.ID) bool { return other == id })
	if b.of[c.Session] = rest; len(rest) == 0 {
		delete(b.of, c.Session)
	}
	if c.Certificate != nil && !slices.ContainsFunc(rest, func(other issuer.ID) bool {
		one := b.credentials[other].Certificate
		return one != nil && one.Key == c.Certificate.Key
	}) {
		delete(b.keys, c.Certificate.Key)
	}
}

// TakeIssuer takes in an issuing key, or that it is gone. One that the root did not sign counts for nothing, whoever wrote it.
func (b *Book) TakeIssuer(name string, value []byte) error {
	var one *Issuing
	if value != nil {
		certificate, err := x509.ParseCertificate(value)
		if err != nil {
			return fmt.Errorf("%w: issuer %s: %w", errRecord, name, err)
		}
		if b.root != nil && issuer.KeyID(certificate) == name && issuer.CheckIssuing(certificate, b.root) == nil {
			one = &Issuing{ID: name, Certificate: certificate, Chain: []string{certchain.KeyDigest(certificate), certchain.KeyDigest(b.root)}}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.generation.Add(1) // also for a new one: it was somebody else's until now
	if one == nil {
		delete(b.issuers, name)
		return nil
	}
	b.issuers[name] = one
	return nil
}

// SessionNames are the names of all records that TakeSession took and that are not gone.
func (b *Book) SessionNames() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	names := slices.Collect(maps.Keys(b.sessions))
	for id := range b.ends {
		names = append(names, id+EndSuffix)
	}
	return names
}

// CredentialNames are the same of TakeCredential.
func (b *Book) CredentialNames() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	names := make([]string, 0, len(b.credentials))
	for id := range b.credentials {
		names = append(names, id.String())
	}
	return names
}

// IssuerNames are the same of TakeIssuer, as far as they count.
func (b *Book) IssuerNames() []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Collect(maps.Keys(b.issuers))
}

// Find returns a credential and its session; ok is false where either is not known.
func (b *Book) Find(id issuer.ID) (c *Credential, s *Session, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if c = b.credentials[id]; c == nil {
		return nil, nil, false
	}
	s = b.sessions[c.Session]
	return c, s, s != nil
}

// Session returns a session, or nil.
func (b *Book) Session(id string) *Session {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.sessions[id]
}

// Issuer returns an issuing key by its id, or nil.
func (b *Book) Issuer(keyID string) *Issuing {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.issuers[keyID]
}

// OwnerOf returns the user name of whom a public key is, by the digest of its SubjectPublicKeyInfo; empty where it is nobody's.
func (b *Book) OwnerOf(key Digest) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if s := b.sessions[b.keys[key]]; s != nil {
		return s.Username
	}
	return ""
}

// Sessions returns those for which wanted is true.
func (b *Book) Sessions(wanted func(*Session) bool) []*Session {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []*Session
	for _, s := range b.sessions {
		if wanted(s) {
			all = append(all, s)
		}
	}
	return all
}

// Past are the names of records that are of no use any more, ended for longer than after: they can be deleted.
type Past struct{ Sessions, Credentials, Issuers []string }

// Past lists what ended before.
func (b *Book) Past(before time.Time) Past {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var past Past
	for id, c := range b.credentials {
		if c.NotAfter.Before(before) {
			past.Credentials = append(past.Credentials, id.String())
		}
	}
	for id, s := range b.sessions {
		if s.Ends.Before(before) {
			past.Sessions = append(past.Sessions, id)
		}
	}
	for id := range b.ends {
		if b.sessions[id] == nil {
			past.Sessions = append(past.Sessions, id+EndSuffix)
		}
	}
	for id, one := range b.issuers {
		if one.Certificate.NotAfter.Before(before) {
			past.Issuers = append(past.Issuers, id)
		}
	}
	return past
}

// Count returns how many sessions, credentials and issuing keys there are.
func (b *Book) Count() (sessions, credentials, issuers int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.sessions), len(b.credentials), len(b.issuers)
}

// Latest returns the credential id of the session's certificate or token that was issued last; empty if there is none.
func (b *Book) Latest(id string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := b.of[id]
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].CredentialID()
}
