package oidcprovider

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// logoutEvent is what a logout token says (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutToken says, under the provider's own key, that somebody signed out. change may change what stands in it before it is signed;
// typ is the type in its header.
func (p *Provider) LogoutToken(typ string, change func(claims map[string]any)) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": p.Issuer, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	change(claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("make a logout token: %w", err)
	}
	key := &p.storage.key
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: key.algorithm, Key: jose.JSONWebKey{Key: key.key, KeyID: key.id}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)),
	)
	if err != nil {
		return "", fmt.Errorf("make a logout token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("make a logout token: %w", err)
	}
	return signed.CompactSerialize()
}

// SetGroups changes the groups of a user, for tokens to come.
func (p *Provider) SetGroups(user string, groups ...string) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	one := p.storage.users[user]
	one.Groups = groups
	p.storage.users[user] = one
}
