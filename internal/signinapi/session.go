package signinapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// proof is what a token that was accepted says of its owner.
type proof struct {
	credential *authn.Credential
	claims     claims
	// atCluster says that the owner is known at the cluster alone that accepted the token.
	atCluster bool
}

// claims are those by which a provider speaks of a session.
type claims struct {
	Issuer   string    `json:"iss"`
	Subject  string    `json:"sub"`
	SID      string    `json:"sid"`
	Audience audiences `json:"aud"`
	// IssuedAt is in seconds since 1970, with a fraction perhaps; 0 where the token does not say.
	IssuedAt float64 `json:"iat"`
}

// freshFor is how old a person's token may be. A client gets one from the provider for each sign-in and each renewal, and shows it
// at once; the rest is for clocks that differ. An older one says nothing of whether the provider still lets the person in, and
// whoever finds one, in a log or a file, would go on with it for as long as it lasts, also after the person signed out there.
const freshFor = 5 * time.Minute

// fresh returns an error unless the token was issued just now.
func (c *claims) fresh(now time.Time) error {
	if c.IssuedAt < float64(now.Add(-freshFor).Unix()) {
		return errStale
	}
	return nil
}

// audiences is a JSON string or a list of them.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// The errors of a token or a session that nothing is issued for. They are for the client.
var (
	errMechanism = errors.New("nobody signs in with a token of this mechanism: it must be one of authentication.jwt or of a ServiceAccount, requested")
	errNoSubject = errors.New("the token names no issuer or no subject")
	errSession   = errors.New("the session cannot be renewed with this token; sign in again")
	errStale     = fmt.Errorf("the token was not issued within the last %s, by the gate's clock: each sign-in and each renewal takes a new one of the provider's", freshFor)
)

// proves reads what a token says that a chain has accepted.
func proves(d *authn.Decision, token secret.String) (*proof, error) {
	p := &proof{credential: d.Credential}
	switch d.Credential.Mechanism {
	case identity.JWT:
	case identity.TokenRequest:
		p.atCluster = true // another cluster may have a ServiceAccount of the same name
	default:
		return nil, errMechanism
	}
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 { //nolint:mnd // header, payload, signature (RFC 7515 section 7.1)
		return nil, errNoSubject
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &p.claims) != nil || p.claims.Issuer == "" || p.claims.Subject == "" {
		return nil, errNoSubject
	}
	return p, nil
}

// maxSessions is how many sessions a person may have open: each is a few records at every replica.
const maxSessions = 64

// errTooMany refuses more of them.
var errTooMany = errors.New("too many sessions are open; log out of one")

// sessionFor is the session that something is issued for: a new one, or the one that is renewed, as the token says it is now. It
// is not on record yet. parent is what it renews.
func (a *API) sessionFor(settings *Settings, ask *wanted, p *proof, now time.Time) (s *session.Session, parent string, err error) {
	who := &p.credential.Identity
	s = &session.Session{
		ID: issuer.NewID().String(), Kind: settings.kindOf(&p.claims, p.credential.Mechanism), Username: who.Username, UID: who.UID, Groups: who.Groups, Extra: extras(who),
		Basis:  &authn.Basis{Mechanism: p.credential.Mechanism, ID: p.credential.ID.Value, Issuer: p.credential.ID.Issuer},
		Issuer: p.claims.Issuer, Subject: p.claims.Subject, SID: p.claims.SID, Begun: now.UTC().Truncate(time.Second), Renewed: now.UTC().Truncate(time.Second),
	}
	if p.atCluster {
		s.Cluster = ask.cluster.Name
	}
	lasts := settings.PipelineLifetime
	if s.Kind == session.Person {
		lasts = settings.PeopleSession
		if err := p.claims.fresh(now); err != nil {
			return nil, "", err
		}
	}
	s.Ends = s.Begun.Add(lasts)
	if ask.session == "" {
		if s.Kind == session.Person && len(a.config.Book.Sessions(func(other *session.Session) bool {
			return other.Kind == session.Person && other.Subject == s.Subject && other.Issuer == s.Issuer && other.Open(now)
		})) >= maxSessions {
			return nil, "", errTooMany
		}
		return s, "", nil
	}
	before := a.config.Book.Session(ask.session)
	switch {
	case !before.Open(now):
		return nil, "", fmt.Errorf("%w: it is over, or there is none of that id", errSession)
	case before.Kind != s.Kind || before.Issuer != s.Issuer || before.Subject != s.Subject || before.Username != s.Username || before.Cluster != s.Cluster ||
		before.Basis == nil || before.Basis.Mechanism != s.Basis.Mechanism:
		return nil, "", fmt.Errorf("%w: it is somebody else's", errSession)
	}
	s.ID, s.Begun, s.Ends = before.ID, before.Begun, before.Ends
	if s.SID == "" {
		s.SID = before.SID // providers leave it out when a token is refreshed
	}
	return s, a.config.Book.Latest(s.ID), nil
}

// kindOf says whose a token is: a person's if a provider issued it for the client that people sign in with.
func (s *Settings) kindOf(c *claims, mechanism identity.Mechanism) session.Kind {
	for i := range s.Providers {
		if mechanism == identity.JWT && s.Providers[i].Issuer == c.Issuer && slices.Contains(c.Audience, s.Providers[i].ClientID) {
			return session.Person
		}
	}
	return session.Pipeline
}

// extras are those of an identity without what named the token.
func extras(who *identity.Identity) map[string][]string {
	var kept map[string][]string
	for key, values := range who.Extra {
		if key == identity.ExtraCredentialID {
			continue
		}
		if kept == nil {
			kept = make(map[string][]string)
		}
		kept[key] = values
	}
	return kept
}
