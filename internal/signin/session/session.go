// Package session is one sign-in at a gate, as the client keeps it: a certificate and its key, and what gets the next ones
// without a person, be it a refresh token of the provider or the file that a pipeline's token stands in.
//
// A session serves all clusters behind a gate. At each renewal a new key is made and the provider is asked anew, so that
// whoever is disabled there is out at the next renewal at the latest.
package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/oidclogin"
)

const (
	// maxToken bounds what is read of a token file, in bytes. Tokens of the cluster and of CI services are below 4 KiB.
	maxToken = 64 << 10
	// nameBytes of a digest tell the sessions of one user apart.
	nameBytes = 8
)

// ErrNone says that nobody is signed in there, and ErrEnded that a session is over.
var (
	ErrNone  = errors.New("not signed in")
	ErrEnded = errors.New("the session has ended")
)

// ErrNotRenewable says that a session holds nothing that gets a new certificate without a person.
var ErrNotRenewable = errors.New("nothing renews this sign-in: it was made with a token that was given once, or the provider gave no refresh token")

// Source says whose session it is and where its subject tokens come from: a provider, or a pipeline's token. The zero value
// is none.
type Source struct {
	// Address is the gate's.
	Address signin.Address `json:"address"`
	// Provider is where the person signed in; nil for a pipeline.
	Provider *adminapi.SignInProvider `json:"provider,omitempty"`
	// TokenFile is where a pipeline's token stands. It is read anew for each renewal. Empty where the token is given each time.
	TokenFile string `json:"tokenFile,omitempty"`
	// Label tells two pipelines apart whose tokens are given each time.
	Label string `json:"label,omitempty"`
	// Cluster is whose mechanisms judge the token; empty means the gate's first.
	Cluster string `json:"cluster,omitempty"`
	// Lifetime of certificates is a wish; 0 means the gate's default.
	Lifetime time.Duration `json:"lifetime,omitempty"`
	// Bound asks for a token besides each certificate, which is bound to it and by which requests are judged then (RFC 8705).
	Bound bool `json:"bound,omitempty"`
}

// Name is the same for the same gate and source of tokens, and different for others. It holds no secret.
func (s Source) Name() string {
	provider := ""
	if s.Provider != nil {
		provider = s.Provider.Name
	}
	parts := []string{s.Address.URL, s.Address.Authorities, s.Address.ServerName, provider, s.TokenFile, s.Label, s.Cluster}
	if s.Bound {
		parts = append(parts, "bound")
	}
	sum := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part) // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil)[:nameBytes])
}

// Session is a sign-in. The zero value is none. It is not safe for concurrent use.
type Session struct {
	Source
	signin.Grant
	// Token is bound to the grant's certificate, and ends with it at the latest. It is none unless the source asks for one.
	Token signin.BoundToken
	// Refresh is the provider's refresh token; empty where there is none.
	Refresh secret.String
	// Subject is the provider's name for the person.
	Subject string
	// SignedInAt is when it began.
	SignedInAt time.Time
	// Earlier are those that a pipeline had before and that may still be in use: each of its certificates has a session of its
	// own at the gate.
	Earlier []signin.Grant
}

// Begin exchanges tokens that a provider just gave.
func Begin(ctx context.Context, source Source, tokens *oidclogin.Tokens) (*Session, error) {
	s := &Session{Source: source, Refresh: tokens.Refresh, Subject: tokens.Subject, SignedInAt: time.Now()}
	if err := s.exchange(ctx, tokens.ID, adminapi.TokenTypeIDToken); err != nil {
		return nil, err
	}
	return s, nil
}

// BeginPipeline exchanges a pipeline's token. It is read from the source's file where token is empty.
func BeginPipeline(ctx context.Context, source Source, token secret.String) (*Session, error) {
	s := &Session{Source: source, SignedInAt: time.Now()}
	if token.IsEmpty() {
		var err error
		if token, err = ReadToken(source.TokenFile); err != nil {
			return nil, err
		}
	}
	if err := s.exchange(ctx, token, adminapi.TokenTypeJWT); err != nil {
		return nil, err
	}
	return s, nil
}

// Ends is when nothing can be renewed any more. Zero means never: a pipeline is let in for as long as its token is.
func (s *Session) Ends() time.Time {
	if s.Provider == nil && s.TokenFile != "" {
		return time.Time{}
	}
	return s.SessionEnds
}

// Renewable reports whether Renew can succeed.
func (s *Session) Renewable() bool { return !s.Refresh.IsEmpty() || s.TokenFile != "" }

// Renew gets a new certificate for a new key. After an error the session is as good as before, except that the refresh token
// may be a new one; a *signin.RefusedError or ErrNotRenewable says that trying again is of no use.
func (s *Session) Renew(ctx context.Context) error {
	switch {
	case s.Provider != nil && !s.Refresh.IsEmpty():
		token, err := s.refresh(ctx)
		if err != nil {
			return err
		}
		return s.exchange(ctx, token, adminapi.TokenTypeIDToken)
	case s.Provider == nil && s.TokenFile != "":
		token, err := ReadToken(s.TokenFile)
		if err != nil {
			return err
		}
		before, now := s.Grant, time.Now()
		s.Session = "" // a new one: a pipeline's session lasts no longer than its certificate
		if err := s.exchange(ctx, token, adminapi.TokenTypeJWT); err != nil {
			s.Grant = before
			return err
		}
		s.Earlier = slices.DeleteFunc(append(slices.Clone(s.Earlier), before), func(g signin.Grant) bool { return !now.Before(g.NotAfter) })
		return nil
	default:
		return ErrNotRenewable
	}
}

// refresh asks the provider for a new ID token.
func (s *Session) refresh(ctx context.Context) (secret.String, error) {
	client, err := oidclogin.New(ctx, *s.Provider)
	if err != nil {
		return secret.String{}, err
	}
	defer client.Close()
	tokens, err := client.Refresh(ctx, s.Refresh, s.Subject)
	if tokens != nil && !tokens.Refresh.IsEmpty() {
		s.Refresh = tokens.Refresh
	}
	if err != nil {
		return secret.String{}, err
	}
	return tokens.ID, nil
}

// exchange gets a certificate for a token, and another token that is bound to it where the source asks for that.
func (s *Session) exchange(ctx context.Context, token secret.String, kind string) error {
	gate, err := signin.NewGate(s.Address)
	if err != nil {
		return err
	}
	defer gate.Close()
	grant, err := gate.Exchange(ctx, signin.Exchange{
		Subject: token, SubjectType: kind, Session: s.Session, Cluster: s.Cluster, Lifetime: s.Lifetime,
	})
	if err != nil {
		return err
	}
	var bound signin.BoundToken
	if s.Bound {
		made, err := gate.Bind(ctx, signin.Exchange{
			Subject: token, SubjectType: kind, Session: grant.Session, Cluster: s.Cluster, Lifetime: s.Lifetime,
		}, grant.Credential)
		if err != nil {
			if s.Session == "" { // it would be open, and nobody's
				_ = gate.Revoke(context.WithoutCancel(ctx), grant.Session, grant.Credential)
			}
			return err
		}
		if bound = *made; bound.ExpiresAt.Before(grant.NotAfter) {
			grant.NotAfter = bound.ExpiresAt // one is of no use without the other
		}
	}
	s.Grant, s.Token = *grant, bound
	return nil
}

// CredentialID is under which logs and the ledger have what requests are judged by.
func (s *Session) CredentialID() string {
	if s.Bound {
		return s.Token.ID
	}
	return s.ID
}

// End tells the gate and then the provider that the session is over. What the gate says counts: the provider's refresh token
// is worth nothing without this copy of it. A session outlives its certificates, and is ended by one: where none holds any more, another
// is got for it.
func (s *Session) End(ctx context.Context) error {
	if now := time.Now(); s.Provider != nil && s.Renewable() && !now.Before(s.NotAfter) && now.Before(s.SessionEnds) {
		err := s.Renew(ctx)
		if _, refused := errors.AsType[*signin.RefusedError](err); err != nil && !refused { // who refuses lets nobody go on with it
			return fmt.Errorf("its certificate has ended, and there is no other to end it by: %w", err)
		}
	}
	gate, err := signin.NewGate(s.Address)
	if err != nil {
		return err
	}
	defer gate.Close()
	for _, one := range append(slices.Clone(s.Earlier), s.Grant) {
		if !time.Now().Before(one.NotAfter) {
			continue // it has ended by itself
		}
		if err := gate.Revoke(ctx, one.Session, one.Credential); err != nil {
			return err
		}
	}
	if s.Provider == nil || s.Refresh.IsEmpty() {
		return nil
	}
	if client, err := oidclogin.New(ctx, *s.Provider); err == nil {
		defer client.Close()
		_ = client.Revoke(ctx, s.Refresh) // see above
	}
	return nil
}

// ReadToken reads a token from a file.
func ReadToken(path string) (secret.String, error) {
	file, err := os.Open(path) //nolint:gosec // the caller's own file
	if err != nil {
		return secret.String{}, fmt.Errorf("cannot read the token: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	token, err := TokenFrom(file)
	if err != nil {
		return secret.String{}, fmt.Errorf("%s: %w", path, err)
	}
	return token, nil
}

// TokenFrom reads a token, without the white space around it.
func TokenFrom(reader io.Reader) (secret.String, error) {
	data, err := io.ReadAll(io.LimitReader(reader, maxToken+1))
	switch text := strings.TrimSpace(string(data)); {
	case err != nil:
		return secret.String{}, fmt.Errorf("cannot read the token: %w", err)
	case len(data) > maxToken:
		return secret.String{}, fmt.Errorf("the token is longer than %d bytes", maxToken)
	case text == "":
		return secret.String{}, errors.New("there is no token")
	case strings.ContainsAny(text, " \t\r\n"):
		return secret.String{}, errors.New("a token holds no white space")
	default:
		return secret.New(text), nil
	}
}
