package oidcprovider

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// refreshRequest is a sign-in that goes on: what a refresh token stands for. It is not changed once it was made.
type refreshRequest struct {
	clientID, subject string
	scopes, amr       []string
	at                time.Time
}

// GetAMR is how the user signed in.
func (r *refreshRequest) GetAMR() []string { return r.amr }

// GetAudience is the client.
func (r *refreshRequest) GetAudience() []string { return []string{r.clientID} }

// GetAuthTime is when the user signed in.
func (r *refreshRequest) GetAuthTime() time.Time { return r.at }

// GetClientID is the client.
func (r *refreshRequest) GetClientID() string { return r.clientID }

// GetScopes is what the client asked for at the sign-in.
func (r *refreshRequest) GetScopes() []string { return r.scopes }

// GetSubject is who signed in.
func (r *refreshRequest) GetSubject() string { return r.subject }

// SetCurrentScopes does nothing: clients here get what they asked for at the sign-in.
func (r *refreshRequest) SetCurrentScopes([]string) {}

// Disable makes a user unable to sign in, and their refresh tokens worthless, as an administrator does with whoever has left.
func (p *Provider) Disable(user string) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.disabled[user] = true
}

// Enable takes Disable back.
func (p *Provider) Enable(user string) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	delete(p.storage.disabled, user)
}

// Interrupt makes the provider answer everything with 503, until Resume.
func (p *Provider) Interrupt() { p.interrupted.Store(true) }

// Resume ends Interrupt.
func (p *Provider) Resume() { p.interrupted.Store(false) }

// Refreshes is how many refresh tokens were used.
func (p *Provider) Refreshes() int {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	return p.storage.refreshes
}

// RefreshTokens are those that are good: what nobody but their client may have.
func (p *Provider) RefreshTokens() []string {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	return slices.Collect(maps.Keys(p.storage.refresh))
}

// CreateAccessAndRefreshTokens makes a refresh token, which is good once, beside an access token that opens nothing.
func (s *storage) CreateAccessAndRefreshTokens(_ context.Context, request op.TokenRequest, current string) (id, refresh string, ends time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := &refreshRequest{subject: request.GetSubject(), scopes: request.GetScopes(), clientID: s.client.id}
	switch request := request.(type) {
	case *authRequest:
		next.amr, next.at = request.GetAMR(), request.GetAuthTime()
	case *op.DeviceAuthorizationState:
		next.amr, next.at = request.GetAMR(), request.GetAuthTime()
	case *refreshRequest:
		if s.refresh[current] == nil {
			return "", "", time.Time{}, op.ErrInvalidRefreshToken // somebody else was faster
		}
		next.amr, next.at = request.amr, request.at
		s.refreshes++
	default:
		return "", "", time.Time{}, errNotOffered
	}
	delete(s.refresh, current)
	refresh = rand.Text()
	s.refresh[refresh] = next
	return rand.Text(), refresh, time.Now().Add(accessTokenLifetime), nil
}

// TokenRequestByRefreshToken finds a sign-in that goes on.
func (s *storage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := s.refresh[token]
	if request == nil || s.disabled[request.subject] {
		return nil, op.ErrInvalidRefreshToken
	}
	return request, nil
}

// GetRefreshTokenInfo says whose a refresh token is, for its revocation.
func (s *storage) GetRefreshTokenInfo(_ context.Context, clientID, token string) (subject, id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := s.refresh[token]
	if request == nil || request.clientID != clientID {
		return "", "", op.ErrInvalidRefreshToken
	}
	return request.subject, token, nil
}

// RevokeToken ends a refresh token. Access tokens open nothing, and there is nothing to end.
func (s *storage) RevokeToken(_ context.Context, token, _, clientID string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request := s.refresh[token]; request != nil && request.clientID == clientID {
		delete(s.refresh, token)
	}
	return nil
}

// grantTypes are what the client may ask for.
func grantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeDeviceCode}
}

var _ op.RefreshTokenRequest = (*refreshRequest)(nil)
