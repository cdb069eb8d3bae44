package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
)

// Kind says whose a session is. The zero value is nobody's, and refused.
type Kind string

// The kinds of sessions.
const (
	// Person is somebody who signed in at a provider, and renews what was issued as long as the provider agrees.
	Person Kind = "person"
	// Pipeline is a program that exchanged a token of another issuer.
	Pipeline Kind = "pipeline"
	// Machine is whoever got a credential from somebody who may issue.
	Machine Kind = "machine"
)

// Session is one sign-in, and what came of it. It is never changed once it is in a Book: a change makes a new one.
type Session struct {
	// ID is random, and no secret: it opens nothing.
	ID   string `json:"-"`
	Kind Kind   `json:"kind"`
	// Username, UID, Groups and Extra are as the mechanism gave them that judged the last token, before group rules.
	Username string              `json:"username"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
	// Basis is the credential that it rests on; nil for machines.
	Basis *authn.Basis `json:"basis,omitempty"`
	// Issuer, Subject and SID are the provider's names for itself, for whom it signed in, and for its own session, where it has
	// one: by these it ends the session (OpenID Connect Back-Channel Logout 1.0).
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
	SID     string `json:"sid,omitempty"`
	// Cluster is the only one where the session counts; empty where its mechanism means the same person at all of them.
	Cluster string `json:"cluster,omitempty"`
	// Begun is the first sign-in, Renewed the last one, and Ends when it is over, whatever is renewed until then.
	Begun   time.Time `json:"begun"`
	Renewed time.Time `json:"renewed"`
	Ends    time.Time `json:"ends"`
	// Ended is how it came to an earlier end; nil while it is open. It stands in a record of its own, so that no renewal that is
	// under way undoes it.
	Ended *End `json:"-"`
}

// EndSuffix follows a session's id in the name of the record that says how it ended.
const EndSuffix = "/ended"

// End is how a session was ended before its time.
type End struct {
	// Why is "logout", "provider" or "revoked".
	Why string    `json:"why"`
	At  time.Time `json:"at"`
}

// Open reports whether the session counts at the time now.
func (s *Session) Open(now time.Time) bool { return s != nil && s.Ended == nil && now.Before(s.Ends) }

// Identity is whom credentials of the session are accepted as. The id is that of the credential.
func (s *Session) Identity(id string) identity.Identity {
	extra := make(map[string][]string, len(s.Extra)+1)
	maps.Copy(extra, s.Extra)
	extra[identity.ExtraCredentialID] = []string{id}
	return identity.Identity{Username: s.Username, UID: s.UID, Groups: s.Groups, Extra: extra}
}

// Credential is one that Ostiary issued, as far as a request asks about it. It is never changed once it is in a Book.
type Credential struct {
	ID      issuer.ID `json:"-"`
	Session string    `json:"session"`
	// Certificate is set for one, Token for the other.
	Certificate *Certificate `json:"certificate,omitempty"`
	Token       *Token       `json:"token,omitempty"`
	NotBefore   time.Time    `json:"notBefore"`
	NotAfter    time.Time    `json:"notAfter"`
}

// Certificate is what a certificate must be that counts.
type Certificate struct {
	// Issuer is the id of the issuing key (issuer.KeyID).
	Issuer string `json:"issuer"`
	// TBS is the SHA-256 of the signed bytes, Key that of the subject's SubjectPublicKeyInfo.
	TBS Digest `json:"tbs"`
	Key Digest `json:"key"`
}

// TokenPrefix starts every token that Ostiary issues, as scanners find it in files.
const TokenPrefix = "gw1."

// Token is what a token must be that counts.
type Token struct {
	// Secret is a keyed digest of the secret in it.
	Secret string `json:"secret"`
	// Bound is the id of the certificate without which it is of no use (RFC 8705), and Thumbprint that certificate's SHA-256; nil for
	// a token that needs none.
	Bound      string  `json:"bound,omitempty"`
	Thumbprint *Digest `json:"thumbprint,omitempty"`
	// Rotated says that its owner has another in its place: it holds on for a while, and gets no more.
	Rotated bool `json:"rotated,omitempty"`
}

// Digest is a SHA-256, as base64 in JSON.
type Digest [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) {
	return base64.RawStdEncoding.AppendEncode(nil, d[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	raw, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("%w: it holds no digest", errRecord)
	}
	*d = Digest(raw)
	return nil
}

// CredentialID is how logs and revocations name it.
func (c *Credential) CredentialID() string { return c.ID.CredentialID() }

// ErrEnded says that a credential is good but for its session, which has ended.
var ErrEnded = errors.New("its session has ended")

// errRecord is wrapped by all errors about records that cannot be read.
var errRecord = errors.New("session: the record cannot be read")

// Encode writes the session's record.
func (s *Session) Encode() ([]byte, error) { return encode(s) }

// Encode writes the end's record.
func (e *End) Encode() ([]byte, error) { return encode(e) }

// Encode writes the credential's record.
func (c *Credential) Encode() ([]byte, error) { return encode(c) }

func encode(record any) ([]byte, error) {
	value, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return value, nil
}

// decode reads a record strictly: a field that is not known may be one that shuts out.
func decode(name string, value []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil || decoder.More() {
		return fmt.Errorf("%w: %s: %w", errRecord, name, err)
	}
	return nil
}

func decodeSession(name string, value []byte) (*Session, error) {
	s := &Session{ID: name}
	if err := decode(name, value, s); err != nil {
		return nil, err
	}
	if _, ok := issuer.ParseID(name); !ok || s.Username == "" || s.Ends.IsZero() || s.Kind != Person && s.Kind != Pipeline && s.Kind != Machine {
		return nil, fmt.Errorf("%w: %s is not whole", errRecord, name)
	}
	return s, nil
}

func decodeCredential(name string, value []byte) (*Credential, error) {
	c := new(Credential)
	id, ok := issuer.ParseID(name)
	if err := decode(name, value, c); err != nil {
		return nil, err
	}
	if c.ID = id; !ok || c.Session == "" || c.NotAfter.IsZero() || (c.Certificate == nil) == (c.Token == nil) {
		return nil, fmt.Errorf("%w: %s is not whole", errRecord, name)
	}
	return c, nil
}
