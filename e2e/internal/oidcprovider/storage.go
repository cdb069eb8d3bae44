package oidcprovider

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// errNotOffered is the answer to everything but the flows by authorization code and device code, and refreshes.
var errNotOffered = errors.New("not offered by this provider")

// accessTokenLifetime is short: nobody here uses access tokens.
const accessTokenLifetime = 5 * time.Minute

// groupsClaim is the claim that holds a user's groups.
const groupsClaim = "groups"

// storage holds what a provider has to remember: users, and sign-ins that are under way.
type storage struct {
	users  map[string]User
	client *client
	key    signingKey
	sids   bool

	mu       sync.Mutex
	requests map[string]*authRequest // by id
	codes    map[string]string       // code to id
	refresh  map[string]*refreshRequest
	devices  map[string]*deviceRequest // by user code
	disabled map[string]bool
	// refreshes is how many refresh tokens were used.
	refreshes int
}

func newStorage(options Options) (*storage, error) {
	algorithm := pki.RSA2048
	switch options.Algorithm {
	case jose.RS256:
	case jose.ES256:
		algorithm = pki.ECDSAP256
	default:
		return nil, fmt.Errorf("signing algorithm %q: only RS256 and ES256 are offered", options.Algorithm)
	}
	key, err := pki.NewKey(algorithm)
	if err != nil {
		return nil, err
	}
	s := &storage{
		users:    map[string]User{},
		client:   &client{id: options.ClientID, lifetime: options.IDTokenLifetime},
		key:      signingKey{id: rand.Text(), algorithm: options.Algorithm, key: key},
		sids:     options.SessionIDs,
		requests: map[string]*authRequest{},
		codes:    map[string]string{},
		refresh:  map[string]*refreshRequest{},
		devices:  map[string]*deviceRequest{},
		disabled: map[string]bool{},
	}
	for _, user := range options.Users {
		s.users[user.Name] = user
	}
	return s, nil
}

// signIn completes a request for a user whose password is right.
func (s *storage) signIn(id, name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	request, ok := s.requests[id]
	if !ok {
		return errors.New("this sign-in is not known, or was completed before")
	}
	if !s.passes(name, password) {
		return errors.New("wrong user name or password")
	}
	// The provider reads the old value without the lock.
	done := *request
	done.subject, done.at = name, time.Now()
	s.requests[id] = &done
	return nil
}

// passes reports whether a password is a user's who may sign in. The lock is held.
func (s *storage) passes(name, password string) bool {
	user, ok := s.users[name]
	return ok && user.Password != "" && user.Password == password && !s.disabled[name]
}

// CreateAuthRequest remembers a sign-in that starts.
func (s *storage) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &authRequest{id: rand.Text(), asked: *asked}
	s.requests[r.id] = r
	return r, nil
}

// AuthRequestByID finds a sign-in.
func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.requests[id]
	if !ok {
		return nil, errors.New("no such request")
	}
	return r, nil
}

// AuthRequestByCode finds the sign-in that a code was given for.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.requests[s.codes[code]]
	if !ok {
		return nil, errors.New("no such code")
	}
	return r, nil
}

// SaveAuthCode remembers the code of a sign-in.
func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

// DeleteAuthRequest forgets a sign-in and its code, which is good once.
func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	for code, of := range s.codes {
		if of == id {
			delete(s.codes, code)
		}
	}
	return nil
}

// CreateAccessToken makes one that opens nothing; the protocol wants one beside the ID token.
func (s *storage) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return rand.Text(), time.Now().Add(accessTokenLifetime), nil
}

// SetUserinfoFromRequest puts a user's claims into an ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	s.mu.Lock()
	user, ok := s.users[request.GetSubject()]
	s.mu.Unlock()
	if !ok {
		return errors.New("no such user")
	}
	if s.sids {
		info.AppendClaims("sid", user.Name+"-"+strconv.FormatInt(request.GetAuthTime().UnixNano(), 10))
	}
	info.Subject = user.Name
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email, info.EmailVerified = user.Email, true
	}
	info.AppendClaims(groupsClaim, user.Groups)
	return nil
}

// SigningKey is the one that signs.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return &s.key, nil }

// SignatureAlgorithms is the one that signs.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.key.algorithm}, nil
}

// KeySet holds the public half.
func (s *storage) KeySet(context.Context) ([]op.Key, error) { return []op.Key{publicKey{&s.key}}, nil }

// GetClientByClientID finds the one client.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.client.id {
		return nil, errors.New("no such client")
	}
	return s.client, nil
}

// Health is good as long as the process is there.
func (s *storage) Health(context.Context) error { return nil }

// signingKey is the provider's key.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       crypto.Signer
}

// SignatureAlgorithm is what it signs with.
func (k *signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.algorithm }

// Key is the private half.
func (k *signingKey) Key() any { return k.key }

// ID is the "kid".
func (k *signingKey) ID() string { return k.id }

// publicKey is the half that everybody may know.
type publicKey struct{ *signingKey }

// Algorithm is what it verifies.
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return k.algorithm }

// Use is signatures.
func (k publicKey) Use() string { return "sig" }

// Key is the public half.
func (k publicKey) Key() any { return k.key.Public() }

var (
	_ op.Storage                   = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest = (*storage)(nil)
)
