package registrar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/session"
)

// TokenOrder is a token that is to be issued.
type TokenOrder struct {
	// Session is whose it is, as it is to be from now on.
	Session *session.Session
	// Bound is the certificate without which it is of no use, and Thumbprint that certificate's SHA-256; nil for a token that needs
	// none.
	Bound      *session.Credential
	Thumbprint session.Digest
	// Lifetime is how long it is to hold from now. It ends with its session and its certificate at the latest.
	Lifetime time.Duration
	Parent   string
	By       ledger.Actor
}

// Token issues one. It is nowhere but in what is returned.
func (g *Registrar) Token(ctx context.Context, order TokenOrder, now time.Time) (secret.String, *session.Credential, error) {
	s := order.Session
	if err := g.config.Ledger.Ready(); err != nil {
		return secret.String{}, nil, err
	}
	until := now.Add(order.Lifetime)
	if s.Ends.Before(until) {
		until = s.Ends
	}
	if order.Bound != nil && order.Bound.NotAfter.Before(until) {
		until = order.Bound.NotAfter
	}
	if !s.Open(now) || !until.After(now) {
		return secret.String{}, nil, ErrOver
	}
	id := issuer.NewID()
	token, digest := g.config.NewToken(id)
	if digest == "" {
		return secret.String{}, nil, ledger.ErrUnavailable
	}
	made := &session.Credential{
		ID: id, Session: s.ID, NotBefore: now.UTC().Truncate(time.Second), NotAfter: until.UTC().Truncate(time.Second),
		Token: &session.Token{Secret: digest},
	}
	if order.Bound != nil {
		made.Token.Bound, made.Token.Thumbprint = order.Bound.ID.String(), &order.Thumbprint
	}
	entry := entryOf(made, Order{Session: s, Parent: order.Parent, By: order.By}, identity.IssuedToken)
	if name := g.config.Ledger.Shut(entry.Credential()); name != "" {
		return secret.String{}, nil, fmt.Errorf("%w: %s", ErrShut, name)
	}
	if err := g.commit(ctx, entry, made, s); err != nil {
		return secret.String{}, nil, err
	}
	return token, made, g.config.Point(PointReleased)
}

// ErrRotated says that a token was rotated before.
var ErrRotated = errors.New("the token was rotated already, and another stands in its place: whoever rotated it has that. If it was not you, have both revoked")

// Rotate issues a token in place of one that is not bound, for as long as that one was to hold from its issue, and lets the old one
// live for grace at most. It does so once: whoever finds the old one in its grace must get no new one by it. Errors are
// ErrRotated and those of Token.
func (g *Registrar) Rotate(ctx context.Context, old *session.Credential, grace time.Duration, by ledger.Actor, now time.Time) (secret.String, *session.Credential, time.Time, error) {
	fail := func(err error) (secret.String, *session.Credential, time.Time, error) {
		return secret.String{}, nil, time.Time{}, err
	}
	g.rotating.Lock() // of two at once, one is the second
	defer g.rotating.Unlock()
	old, owner, known := g.config.Book.Find(old.ID)
	switch {
	case !known || old.Token == nil || old.Token.Bound != "":
		return fail(ErrOver)
	case old.Token.Rotated:
		return fail(ErrRotated)
	}
	lifetime := old.NotAfter.Sub(old.NotBefore)
	longer := *owner
	longer.Renewed, longer.Ends = now.UTC().Truncate(time.Second), now.Add(lifetime).UTC().Truncate(time.Second)
	token, made, err := g.Token(ctx, TokenOrder{Session: &longer, Lifetime: lifetime, Parent: old.CredentialID(), By: by}, now)
	if err != nil {
		return fail(err)
	}
	shorter, rotated := *old, *old.Token
	rotated.Rotated, shorter.Token = true, &rotated
	if end := now.Add(grace).UTC().Truncate(time.Second); end.Before(old.NotAfter) {
		shorter.NotAfter = end
	}
	value, err := shorter.Encode()
	if err != nil {
		return fail(err)
	}
	if _, err := g.config.Ledger.EnforcePart(ctx, ledger.IssuedPrefix, old.ID.String(), value); err != nil {
		return fail(fmt.Errorf("the new token stands, and whether the old one ends is not known: %w", err))
	}
	return token, made, shorter.NotAfter, nil
}

// Revoke shuts out one credential, and returns when that is in force at every replica.
func (g *Registrar) Revoke(ctx context.Context, c *session.Credential, reason string, by ledger.Actor) error {
	_, err := g.config.Ledger.Revoke(ctx, &ledger.Revocation{
		Target: ledger.Target{Kind: ledger.OneCredential, Name: c.CredentialID()}, Reason: reason, Actor: by, Until: c.NotAfter.Add(tidyAfter),
	})
	return err
}
