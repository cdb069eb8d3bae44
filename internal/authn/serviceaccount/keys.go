package serviceaccount

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
)

// Keys are those that a cluster signs its tokens with.
type Keys interface {
	// Find returns the keys of that id, or all if it is empty (SAB-3).
	Find(ctx context.Context, id string) []crypto.PublicKey
	// Ready returns an error while no key is known yet.
	Ready() error
}

// keySet is a set of keys by id. It is immutable.
type keySet struct {
	all  []crypto.PublicKey
	byID map[string][]crypto.PublicKey
}

func (s *keySet) find(id string) []crypto.PublicKey {
	switch {
	case s == nil:
		return nil
	case id == "":
		return s.all
	default:
		return s.byID[id]
	}
}

func (s *keySet) add(id string, key crypto.PublicKey) {
	s.all = append(s.all, key)
	s.byID[id] = append(s.byID[id], key)
}

// StaticKeys are keys that were given.
type StaticKeys struct{ keySet }

// NewStaticKeys returns keys under the ids that Kubernetes gives them: a digest of the key (SAB-3). It refuses an empty
// list, which would refuse every token.
func NewStaticKeys(keys []crypto.PublicKey) (*StaticKeys, error) {
	if len(keys) == 0 {
		return nil, errors.New("serviceaccount: no keys")
	}
	s := &StaticKeys{keySet{byID: make(map[string][]crypto.PublicKey)}}
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("serviceaccount: key: %w", err)
		}
		digest := sha256.Sum256(der)
		s.add(base64.RawURLEncoding.EncodeToString(digest[:]), key)
	}
	return s, nil
}

// Find implements Keys.
func (s *StaticKeys) Find(_ context.Context, id string) []crypto.PublicKey { return s.find(id) }

// Ready implements Keys.
func (*StaticKeys) Ready() error { return nil }

// Source is where a cluster publishes its keys.
type Source interface {
	Document(ctx context.Context, path string) ([]byte, error)
}

const (
	// keysPath is where kube-apiserver publishes the keys of its tokens (SAB-20).
	keysPath = "/openid/v1/jwks"
	// refreshEvery is how often keys are fetched though nothing asks for it, so that a withdrawn one is not taken for long.
	refreshEvery = 5 * time.Minute
	// retryEvery is how often fetching is tried while it fails.
	retryEvery = 5 * time.Second
	// askedEvery bounds the fetches that tokens with unknown key ids cause: anybody can make one up.
	askedEvery = 10 * time.Second
	// fetchTimeout bounds one fetch.
	fetchTimeout = 10 * time.Second
)

// ClusterKeys are keys that the cluster publishes. It is safe for concurrent use.
type ClusterKeys struct {
	source  Source
	logger  *slog.Logger
	current atomic.Pointer[keySet]

	mu      sync.Mutex
	fetched time.Time
}

// NewClusterKeys fetches the keys now and then until ctx ends, in the background. The last good ones stay in force.
func NewClusterKeys(ctx context.Context, source Source, logger *slog.Logger) *ClusterKeys {
	k := &ClusterKeys{source: source, logger: logger}
	go k.run(ctx)
	return k
}

func (k *ClusterKeys) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := refreshEvery
		if err := k.fetch(ctx, time.Second); err != nil && ctx.Err() == nil {
			next = retryEvery
			k.logger.Warn("the keys of ServiceAccount tokens could not be fetched; the last good ones stay in force", slog.String("cause", err.Error()))
		}
		timer.Reset(next)
	}
}

// Find implements Keys. An id that is not known makes it fetch, unless that was done a moment ago.
func (k *ClusterKeys) Find(ctx context.Context, id string) []crypto.PublicKey {
	if found := k.current.Load().find(id); len(found) > 0 || id == "" {
		return found
	}
	if k.fetch(ctx, askedEvery) != nil {
		return nil
	}
	return k.current.Load().find(id)
}

// Ready implements Keys.
func (k *ClusterKeys) Ready() error {
	if k.current.Load() == nil {
		return errors.New("the keys of ServiceAccount tokens could not be fetched yet")
	}
	return nil
}

// fetch fetches the keys, unless that was done less than atMost ago. One fetch runs at a time.
func (k *ClusterKeys) fetch(ctx context.Context, atMost time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.fetched) < atMost {
		return nil
	}
	k.fetched = time.Now()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := k.source.Document(ctx, keysPath)
	if err != nil {
		return err
	}
	set, err := parseKeys(body)
	if err != nil {
		return err
	}
	k.current.Store(set)
	return nil
}

// parseKeys reads a JSON Web Key Set (RFC 7517). Keys of other kinds than sign tokens are left out (SAB-4).
func parseKeys(body []byte) (*keySet, error) {
	var published jose.JSONWebKeySet
	if err := json.Unmarshal(body, &published); err != nil {
		return nil, fmt.Errorf("%s: %w", keysPath, err)
	}
	set := &keySet{byID: make(map[string][]crypto.PublicKey)}
	for _, key := range published.Keys {
		switch key.Key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
			if key.KeyID != "" {
				set.add(key.KeyID, key.Key)
			}
		}
	}
	if len(set.all) == 0 {
		return nil, fmt.Errorf("%s holds no key that could sign tokens", keysPath)
	}
	return set, nil
}
