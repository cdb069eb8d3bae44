// Package backchannel reads the logout tokens by which an OpenID Connect provider says that somebody signed out there (OpenID Connect
// Back-Channel Logout 1.0). A token is believed if the provider's own keys signed it, for our client, a short while ago, and it was
// not seen before.
package backchannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ostiary/ostiary/internal/secret"
)

const (
	// tokenType is the typ of a logout token (section 2.4): no other token of the provider can be taken for one.
	tokenType = "logout+jwt"
	// event is what it says.
	event = "http://schemas.openid.net/event/backchannel-logout"
	// maxToken bounds what is read.
	maxToken = 16 << 10
	// maxAge is how old a token may be; clocks may differ by tolerance.
	maxAge    = 10 * time.Minute
	tolerance = time.Minute
	// seenKept bounds the tokens that are remembered. More within maxAge are a flood from the provider itself.
	seenKept = 1 << 16
)

// Logout is what a logout token says. At least one of Subject and SID is set.
type Logout struct {
	Subject, SID string
	// At is when it was said, by the provider's clock.
	At time.Time

	id string // its jti
}

// Tolerance is how far clocks may differ: a session that began no later than At and Tolerance is meant.
const Tolerance = tolerance

// Errors of Verify.
var (
	// ErrToken says that it is not a logout token to be believed.
	ErrToken = errors.New("the logout token is not accepted")
	// ErrKeys says that the provider's keys could not be had.
	ErrKeys = errors.New("the provider's keys could not be read")
)

// Verifier believes one provider. It is safe for concurrent use.
type Verifier struct {
	issuer, clientID string
	keys             *keySet

	mu   sync.Mutex
	seen map[string]time.Time // by jti: until when a token could come again
}

// New returns a verifier. get reads a document of the provider's over TLS.
func New(issuer, clientID string, get func(ctx context.Context, url string) ([]byte, error)) *Verifier {
	return &Verifier{issuer: issuer, clientID: clientID, keys: &keySet{issuer: issuer, get: get}, seen: make(map[string]time.Time)}
}

// claims are those of a logout token (section 2.4).
type claims struct {
	Issuer   string                     `json:"iss"`
	Subject  string                     `json:"sub"`
	Audience jwt.Audience               `json:"aud"`
	IssuedAt *jwt.NumericDate           `json:"iat"`
	Expiry   *jwt.NumericDate           `json:"exp"`
	ID       string                     `json:"jti"`
	Events   map[string]json.RawMessage `json:"events"`
	SID      string                     `json:"sid"`
	Nonce    json.RawMessage            `json:"nonce"`
}

// algorithms are those that a provider may sign by: none in which who verifies could sign.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// Verify reads a logout token (section 2.6). The same token is believed once. Errors are ErrToken and ErrKeys.
func (v *Verifier) Verify(ctx context.Context, token secret.String, now time.Time) (Logout, error) {
	if len(token.Reveal()) > maxToken {
		return Logout{}, fmt.Errorf("%w: it is too long", ErrToken)
	}
	signed, err := jose.ParseSignedCompact(token.Reveal(), algorithms())
	if err != nil {
		return Logout{}, fmt.Errorf("%w: it is not a signed JWT", ErrToken)
	}
	header := signed.Signatures[0].Protected
	if kind, _ := header.ExtraHeaders[jose.HeaderType].(string); kind != tokenType {
		return Logout{}, fmt.Errorf("%w: its typ is not %s", ErrToken, tokenType)
	}
	payload, err := v.keys.verify(ctx, signed, header.KeyID, now)
	if err != nil {
		return Logout{}, err
	}
	var said claims
	if err := json.Unmarshal(payload, &said); err != nil {
		return Logout{}, fmt.Errorf("%w: its claims cannot be read", ErrToken)
	}
	if err := v.check(&said, now); err != nil {
		return Logout{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return Logout{Subject: said.Subject, SID: said.SID, At: said.IssuedAt.Time(), id: said.ID}, nil
}

// Forget lets a token be believed once more, where what it asks for could not be done: the provider is going to send it again.
func (v *Verifier) Forget(said Logout) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.seen, said.id)
}

// check judges the claims, and takes note of the token if they are good.
func (v *Verifier) check(said *claims, now time.Time) error {
	var happened map[string]any
	switch {
	case said.Issuer != v.issuer:
		return errors.New("it is of another issuer")
	case !slices.Contains(said.Audience, v.clientID):
		return errors.New("it is for another client")
	case said.IssuedAt == nil || said.Expiry == nil:
		return errors.New("it has no iat or no exp")
	case now.Add(tolerance).Before(said.IssuedAt.Time()) || now.After(said.IssuedAt.Time().Add(maxAge)) || now.After(said.Expiry.Time().Add(tolerance)):
		return errors.New("it is outside its time")
	case json.Unmarshal(said.Events[event], &happened) != nil || happened == nil:
		return errors.New("it does not say that somebody signed out")
	case said.Nonce != nil:
		return errors.New("it has a nonce, as an ID token has")
	case said.Subject == "" && said.SID == "":
		return errors.New("it names neither a subject nor a session")
	case said.ID == "":
		return errors.New("it has no jti")
	}
	return v.once(said.ID, said.IssuedAt.Time().Add(maxAge), now)
}

// once lets each token through once.
func (v *Verifier) once(id string, until, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, there := v.seen[id]; there {
		return errors.New("it was used before")
	}
	if len(v.seen) >= seenKept {
		for other, over := range v.seen {
			if now.After(over) {
				delete(v.seen, other)
			}
		}
	}
	if len(v.seen) >= seenKept {
		return errors.New("too many came at a time")
	}
	v.seen[id] = until
	return nil
}
