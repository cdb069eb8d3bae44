package backchannel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysHold is how long keys are used before they are read again, so that one which the provider withdrew goes.
	keysHold = 10 * time.Minute
	// keysAgain is how often they may be read for a key that is not known: anybody can name one.
	keysAgain = 10 * time.Second
)

// keySet is the provider's keys.
type keySet struct {
	issuer string
	get    func(ctx context.Context, url string) ([]byte, error)

	mu    sync.Mutex
	keys  jose.JSONWebKeySet
	read  time.Time // when they were
	tried time.Time // when that was tried last
}

// verify returns what a key of the provider signed.
func (k *keySet) verify(ctx context.Context, signed *jose.JSONWebSignature, id string, now time.Time) ([]byte, error) {
	candidates, err := k.named(ctx, id, now)
	if err != nil {
		return nil, err
	}
	for i := range candidates {
		if candidates[i].Use == "enc" {
			continue
		}
		if payload, err := signed.Verify(&candidates[i]); err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%w: no key of the provider's signed it", ErrToken)
}

// named returns the keys of an id, or all for a token that names none.
func (k *keySet) named(ctx context.Context, id string, now time.Time) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.find(id)
	due := now.Sub(k.read) > keysHold || len(found) == 0 && now.Sub(k.tried) > keysAgain
	if !due {
		return found, nil
	}
	k.tried = now
	keys, err := k.fetch(ctx)
	if err != nil {
		if len(found) > 0 && now.Sub(k.read) <= 2*keysHold {
			return found, nil
		}
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	k.keys, k.read = *keys, now
	return k.find(id), nil
}

func (k *keySet) find(id string) []jose.JSONWebKey {
	if id == "" {
		return k.keys.Keys
	}
	return k.keys.Key(id)
}

// fetch reads the keys from where the discovery document says they are (OpenID Connect Discovery 1.0).
func (k *keySet) fetch(ctx context.Context) (*jose.JSONWebKeySet, error) {
	raw, err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(raw, &document); err != nil || document.Issuer != k.issuer || !strings.HasPrefix(document.Keys, "https://") {
		return nil, fmt.Errorf("the discovery document is not that of %s, or names no keys", k.issuer)
	}
	if raw, err = k.get(ctx, document.Keys); err != nil {
		return nil, err
	}
	keys := new(jose.JSONWebKeySet)
	if err := json.Unmarshal(raw, keys); err != nil {
		return nil, fmt.Errorf("the provider's keys are no JWKS: %w", err)
	}
	for i := range keys.Keys {
		if !keys.Keys[i].IsPublic() {
			return nil, fmt.Errorf("the provider publishes a key that is not public")
		}
	}
	return keys, nil
}
