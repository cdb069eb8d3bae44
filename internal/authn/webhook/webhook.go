package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	webhookclient "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// maxTokenBytes bounds what is sent to the service, as for JSON Web Tokens.
const maxTokenBytes = 64 << 10

// errTooLong refuses longer tokens.
var errTooLong = fmt.Errorf("the token is longer than %d bytes", maxTokenBytes)

// Config is what a Service is made of.
type Config struct {
	// Kubeconfig is the file that names the service and the credential for it. It is read by New.
	Kubeconfig string
	// Version of TokenReview: v1 or v1beta1.
	Version string
	// CacheTTL is how long answers are remembered, good ones and bad ones (WH-8).
	CacheTTL time.Duration
	// Timeout bounds one question with all its repetitions.
	Timeout time.Duration
	// MaxConcurrent bounds the questions under way; further ones fail at once. 0 means no bound, and no circuit breaker,
	// as in kube-apiserver.
	MaxConcurrent int
	// Hide makes names of parts that tell nothing of them, and are the same in every process and after a restart. Nil, or an
	// empty name, leaves that to a key of this process.
	Hide func(parts ...string) string
}

// Service is a TokenReview service. It is safe for concurrent use.
type Service struct {
	config Config
	server string
	idKey  [sha256.Size]byte
	ask    func(implicit []string) (*webhook.WebhookTokenAuthenticator, error)
	close  func()
	// strangers bounds the questions about tokens of which nothing good is known, so that junk leaves room; nil: no bound.
	strangers *authn.Room

	mu         sync.Mutex
	mechanisms map[string]*Mechanism // by implicit audiences
}

// New reads the kubeconfig. It connects to nothing.
func New(config Config) (*Service, error) {
	rest, err := webhookclient.LoadKubeconfig(config.Kubeconfig, nil)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	guard := newGuard(config.MaxConcurrent)
	rest.Wrap(guard.wrap)
	s := &Service{config: config, server: rest.Host, close: guard.close, mechanisms: make(map[string]*Mechanism)}
	_, _ = rand.Read(s.idKey[:]) // never fails
	if config.MaxConcurrent > 0 {
		s.strangers = authn.NewRoom("the webhook", strangersOf(config.MaxConcurrent))
	}
	s.ask = func(implicit []string) (*webhook.WebhookTokenAuthenticator, error) {
		return webhook.New(rest, config.Version, implicit, *webhook.DefaultRetryBackoff())
	}
	if _, err := s.For(nil); err != nil {
		return nil, err
	}
	return s, nil
}

// strangersOf is how many of so many questions at a time may be about strangers' tokens: three in four, and one at least.
func strangersOf(concurrent int) int { return max(1, concurrent*3/4) } //nolint:mnd // as the comment says

// Close lets go of idle connections. Questions under way go on.
func (s *Service) Close() { s.close() }

// Mechanism asks the service for a cluster: one whose API audiences are known.
type Mechanism struct {
	service *Service
	cached  authenticator.Token
}

// For returns the mechanism for a cluster with the given API audiences, which count where the service's answer names
// none (WH-4). Clusters with the same audiences share one, and what it remembers.
func (s *Service) For(implicit []string) (*Mechanism, error) {
	key := fmt.Sprintf("%q", implicit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.mechanisms[key]; ok {
		return m, nil
	}
	client, err := s.ask(slices.Clone(implicit))
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	m := &Mechanism{service: s}
	verify := authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		return m.verify(ctx, client, token)
	})
	// CACHE-5: errors are not remembered, so that an outage is over when the service is back.
	m.cached = cache.New(verify, false, s.config.CacheTTL, s.config.CacheTTL)
	s.mechanisms[key] = m
	return m, nil
}

// AuthenticateToken answers for one token. What keeps the service from answering is a technical failure; an error in its
// answer is a refusal (WH-5), and neither is remembered.
func (m *Mechanism) AuthenticateToken(ctx context.Context, r *authn.Request, token secret.String) authn.Answer {
	raw := token.Reveal()
	if len(raw) > maxTokenBytes {
		return authn.Reject(errTooLong)
	}
	if len(r.Audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, r.Audiences)
	}
	leave, err := m.service.strangers.Enter(r)
	if err != nil {
		return authn.Fail(err)
	}
	defer leave()
	response, ok, err := m.cached.AuthenticateToken(ctx, raw)
	_, refused := errors.AsType[*refusal](err)
	switch {
	case refused:
		return authn.Reject(err)
	case err != nil:
		return authn.Fail(err)
	case !ok:
		return authn.None()
	}
	verified, ok := response.User.(*verifiedUser)
	if !ok {
		return authn.Fail(fmt.Errorf("unexpected user type %T", response.User))
	}
	return authn.Accept(verified.credential)
}

// verifiedUser carries the credential through Kubernetes' cache.
type verifiedUser struct {
	user.DefaultInfo
	credential *authn.Credential
}

// verify asks the service, and describes the credential that it vouches for.
func (m *Mechanism) verify(ctx context.Context, client authenticator.Token, token string) (*authenticator.Response, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, m.service.config.Timeout)
	defer cancel()
	ctx, answered := withAnswered(ctx)
	response, ok, err := client.AuthenticateToken(ctx, token)
	switch {
	case err != nil && answered.Load():
		return nil, false, newRefusal(err, token)
	case err != nil:
		return nil, false, &redacted{text: redact(err.Error(), token), cause: err}
	case !ok:
		return nil, false, nil
	}
	credential := &authn.Credential{
		ID:        m.service.credentialID(token, response.User),
		Mechanism: identity.Webhook,
		Identity: identity.Identity{
			Username: response.User.GetName(),
			UID:      response.User.GetUID(),
			Groups:   response.User.GetGroups(),
			Extra:    maps.Clone(response.User.GetExtra()),
		},
		Audiences: response.Audiences,
	}
	return &authenticator.Response{User: &verifiedUser{credential: credential}, Audiences: response.Audiences}, true, nil
}

// credentialID is the service's own where it names one. Otherwise it is a digest under a key, the ledger's where there
// is one: the service may know weak tokens, and a plain digest in a log would let them be guessed in peace.
func (s *Service) credentialID(token string, info user.Info) identity.CredentialID {
	id := identity.CredentialID{Issuer: s.server}
	if named := info.GetExtra()[identity.ExtraCredentialID]; len(named) == 1 && strings.Contains(named[0], "=") {
		id.Value = named[0]
		return id
	}
	if s.config.Hide != nil {
		if hidden := s.config.Hide("webhook", s.server, token); hidden != "" {
			id.Value = "WEBHOOKHMAC=" + hidden
			return id
		}
	}
	mac := hmac.New(sha256.New, s.idKey[:])
	mac.Write([]byte(token))
	id.Value = "WEBHOOKHMAC=" + hex.EncodeToString(mac.Sum(nil)[:idBytes])
	return id
}

// idBytes tells tokens apart; more would only make lines longer.
const idBytes = 16

var _ authn.TokenMechanism = (*Mechanism)(nil)
