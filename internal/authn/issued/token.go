package issued

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/memo"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

const (
	// TokenPrefix starts every token: gw1.<id>.<secret>.<checksum>, each in base64url.
	TokenPrefix = session.TokenPrefix
	// secretBytes is the length of the secret: 256 bits need no slow hash.
	secretBytes = 32
)

// Errors of tokens that are refused.
var (
	ErrTokenForm    = errors.New("it is not a token of Ostiary's: its form or its checksum is wrong")
	ErrTokenUnknown = errors.New("there is no such token, or its secret is another")
	ErrUnbound      = errors.New("it is bound to a certificate that did not come with it")
)

// NewToken draws a token for a credential, and returns it with the secret in it.
func NewToken(id issuer.ID) (token, part secret.String) {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails (Go 1.24)
	defer clear(raw)
	text := TokenPrefix + base64.RawURLEncoding.EncodeToString(id[:]) + "." + base64.RawURLEncoding.EncodeToString(raw)
	return secret.New(text + "." + checksum(text)), secret.New(string(raw))
}

// checksum lets scanners tell tokens from other text, and the gate drop junk before any lookup. It is no protection.
func checksum(text string) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))
}

// ParseToken reads a token. ours is false for one that does not even claim to be of Ostiary's; the error is ErrTokenForm.
func ParseToken(token secret.String) (id issuer.ID, part secret.String, ours bool, err error) {
	text := token.Reveal()
	rest, ours := strings.CutPrefix(text, TokenPrefix)
	if !ours {
		return issuer.ID{}, secret.String{}, false, nil
	}
	name, rest, _ := strings.Cut(rest, ".")
	hidden, sum, whole := strings.Cut(rest, ".")
	if !whole || checksum(text[:len(text)-len(sum)-1]) != sum {
		return issuer.ID{}, secret.String{}, true, ErrTokenForm
	}
	strict := base64.RawURLEncoding.Strict() // one token has one spelling
	rawID, errID := strict.DecodeString(name)
	raw, errPart := strict.DecodeString(hidden)
	if errID != nil || errPart != nil || len(rawID) != len(id) || len(raw) != secretBytes {
		return issuer.ID{}, secret.String{}, true, ErrTokenForm
	}
	return issuer.ID(rawID), secret.New(string(raw)), true, nil
}

// Hide makes of a token's secret what is kept of it; empty while the ledger is not open.
type Hide func(parts ...string) string

// SecretDigest is what is kept of the secret of a token.
func SecretDigest(hide Hide, id issuer.ID, part secret.String) string {
	return hide("the secret of a token", id.String(), part.Reveal())
}

// Tokens accepts tokens. It is safe for concurrent use.
type Tokens struct {
	book         *session.Book
	certificates *Certificates
	hide         Hide
	// known are credentials as they were made last, so that others who remember by them find them again.
	known *memo.Memo[*session.Credential, *accepted]
}

type accepted struct {
	session    *session.Session
	credential *authn.Credential
}

// NewTokens returns the mechanism of tokens. Those that are bound ask certificates for theirs.
func NewTokens(book *session.Book, certificates *Certificates, hide Hide) *Tokens {
	return &Tokens{book: book, certificates: certificates, hide: hide, known: memo.New[*session.Credential, *accepted]()}
}

// AuthenticateToken implements authn.TokenMechanism.
func (m *Tokens) AuthenticateToken(ctx context.Context, r *authn.Request, token secret.String) authn.Answer {
	id, part, ours, err := ParseToken(token)
	if !ours {
		return authn.None()
	}
	if err != nil {
		return authn.Reject(err)
	}
	if err := m.certificates.catchUpToken(ctx, r, id); err != nil {
		return authn.Fail(err)
	}
	found, owner, right := m.find(id, part)
	if !right {
		return authn.Reject(ErrTokenUnknown)
	}
	if err := m.stands(ctx, r, found, owner); err != nil {
		return authn.Refuse(err)
	}
	return authn.Accept(m.describe(found, owner))
}

// find returns the credential and the session of a token whose secret is right.
func (m *Tokens) find(id issuer.ID, part secret.String) (found *session.Credential, owner *session.Session, right bool) {
	found, owner, known := m.book.Find(id)
	want := "" // of a token that is not there: compared all the same
	if known && found.Token != nil {
		want = found.Token.Secret
	}
	got := SecretDigest(m.hide, id, part)
	return found, owner, subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1 && got != ""
}

// Holder returns the credential and the session that somebody shows to hold who has the whole of a token, whether or not it still
// counts; nil for one whose secret is wrong. ours is false for what does not even claim to be a token of Ostiary's.
func (m *Tokens) Holder(token secret.String) (found *session.Credential, owner *session.Session, ours bool) {
	id, part, ours, err := ParseToken(token)
	if err != nil || !ours {
		return nil, nil, ours
	}
	found, owner, right := m.find(id, part)
	if !right {
		return nil, nil, true
	}
	return found, owner, true
}

// stands judges what may change after a token was accepted.
func (m *Tokens) stands(ctx context.Context, r *authn.Request, found *session.Credential, owner *session.Session) error {
	switch {
	case !owner.Open(r.Now):
		return ErrEnded
	case r.Now.After(found.NotAfter) || r.Now.Before(found.NotBefore):
		return ErrTime
	case owner.Cluster != "" && owner.Cluster != r.Cluster:
		return ErrCluster
	case found.Token.Bound == "":
		return nil
	case len(r.Certificates) == 0:
		return ErrUnbound
	}
	shown := m.certificates.judge(ctx, r)
	if shown.Outcome != authn.Accepted || shown.Credential.ID.Value != issuer.CredentialPrefix+found.Token.Bound {
		return errors.Join(ErrUnbound, shown.Cause)
	}
	return nil
}

// describe is the credential that a token is.
func (m *Tokens) describe(found *session.Credential, owner *session.Session) *authn.Credential {
	if before, ok := m.known.Get(found); ok && before.session == owner {
		return before.credential
	}
	id := found.CredentialID()
	made := &authn.Credential{
		ID: identity.CredentialID{Value: id}, Mechanism: identity.IssuedToken, Identity: owner.Identity(id),
		NotBefore: found.NotBefore, NotAfter: found.NotAfter, Basis: owner.Basis,
	}
	m.known.Put(found, &accepted{session: owner, credential: made})
	return made
}

// Readmit implements authn.TokenReadmitter.
func (m *Tokens) Readmit(ctx context.Context, r *authn.Request, cred *authn.Credential) error {
	id, _ := issuer.ParseID(strings.TrimPrefix(cred.ID.Value, issuer.CredentialPrefix))
	found, owner, known := m.book.Find(id)
	if !known || found.Token == nil {
		return ErrTokenUnknown
	}
	return m.stands(ctx, r, found, owner)
}

var (
	_ authn.TokenMechanism  = (*Tokens)(nil)
	_ authn.TokenReadmitter = (*Tokens)(nil)
)
