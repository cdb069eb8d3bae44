package bootstraptoken

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecrets "k8s.io/cluster-bootstrap/util/secrets"
	bootstraptokens "k8s.io/cluster-bootstrap/util/tokens"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/tokenstrength"
)

// minBits is the least that a secret part must seem to hold (G-17). Sixteen characters of the alphabet, drawn at random,
// have 82 bits; the estimate takes one pattern in them for chance.
const minBits = 60

// Errors of this package.
var (
	// ErrWeak refuses a token that the source knows and anybody may guess.
	ErrWeak = errors.New("the bootstrap token is a published sample or easily guessed; delete it and make one with kubeadm token create")
	// ErrNotSynced is a technical failure: the source was never heard.
	ErrNotSynced = errors.New("the cluster's bootstrap tokens are not known yet")
)

// Record is what is kept of one token: no Record holds a secret.
type Record struct {
	// problem says why the token is refused, whoever presents it; nil if it is not.
	problem    error
	id         string
	digest     [sha256.Size]byte
	credential *authn.Credential
}

// CredentialID is how logs and revocations name the token of that id.
func CredentialID(id string) string { return "BOOTSTRAP=" + id }

// Credential is what whoever presents the token comes in with; nil if it is refused.
func (r *Record) Credential() *authn.Credential {
	if r.problem != nil {
		return nil
	}
	return r.credential
}

// Source knows tokens.
type Source interface {
	// Table returns the tokens as they are now. An error is a technical one.
	Table() (*Table, error)
}

// FromSecret makes a record of a Secret (BOOT-3 to BOOT-10).
func FromSecret(s *corev1.Secret) *Record {
	id, _ := bootstrapsecrets.ParseName(s.Name)
	groups, err := bootstrapsecrets.GetGroups(s)
	r := newRecord(id, sha256.Sum256(s.Data[bootstrapapi.BootstrapTokenSecretKey]), groups)
	switch {
	case s.DeletionTimestamp != nil:
		r.problem = errors.New("the Secret is being deleted")
	case s.Type != bootstrapapi.SecretTypeBootstrapToken || s.Data == nil:
		r.problem = errors.New("the Secret is no bootstrap token's")
	case len(s.Data[bootstrapapi.BootstrapTokenSecretKey]) == 0:
		r.problem = errors.New("the Secret has no token-secret")
	case bootstrapsecrets.GetData(s, bootstrapapi.BootstrapTokenIDKey) != id:
		r.problem = errors.New("the Secret's token-id is another than its name says")
	case bootstrapsecrets.GetData(s, bootstrapapi.BootstrapTokenUsageAuthentication) != "true":
		r.problem = errors.New("the token is not meant for authentication")
	case err != nil:
		r.problem = fmt.Errorf("auth-extra-groups: %w", err)
	}
	if text := bootstrapsecrets.GetData(s, bootstrapapi.BootstrapTokenExpirationKey); text != "" {
		expires, err := time.Parse(time.RFC3339, text)
		if err != nil {
			r.problem = errors.Join(r.problem, fmt.Errorf("expiration: %w", err))
		}
		r.credential.NotAfter = expires
	}
	return r
}

// newRecord is a record without a problem or an end.
func newRecord(id string, digest [sha256.Size]byte, groups []string) *Record {
	return &Record{id: strings.Clone(id), digest: digest, credential: &authn.Credential{
		// The id is public: it stands in the clear in Secrets' names and users' names.
		ID:        identity.CredentialID{Value: CredentialID(id)},
		Mechanism: identity.BootstrapToken,
		Identity:  identity.Identity{Username: identity.BootstrapPrefix + id, Groups: groups},
	}}
}

// Mechanism accepts the tokens of a source. It is safe for concurrent use.
type Mechanism struct {
	source    Source
	allowWeak bool
}

// New returns a mechanism. allowWeak takes tokens that anybody may guess, as kube-apiserver does (G-17).
func New(source Source, allowWeak bool) *Mechanism {
	return &Mechanism{source: source, allowWeak: allowWeak}
}

// AuthenticateToken answers for one token. What kube-apiserver passes over it passes over as well (BOOT-1 to BOOT-9): no
// token mechanism after this one knows such tokens, so that the chain refuses them.
func (m *Mechanism) AuthenticateToken(_ context.Context, r *authn.Request, token secret.String) authn.Answer {
	id, part, err := bootstraptokens.ParseToken(token.Reveal())
	if err != nil {
		return authn.None() // BOOT-1
	}
	table, err := m.source.Table()
	if err != nil {
		return authn.Fail(err)
	}
	// One way for an id that is not known and for a secret that is wrong.
	record := table.match([idLength]byte([]byte(id)), sha256.Sum256([]byte(part)))
	if record == nil {
		return authn.None()
	}
	// From here on the caller knows the secret: what is wrong with it may be told in the log.
	switch expires := record.credential.NotAfter; {
	case record.problem != nil:
		return authn.Reject(record.problem)
	case !expires.IsZero() && !r.Now.Before(expires):
		return authn.Reject(errors.New("the bootstrap token expired at " + expires.UTC().Format(time.RFC3339)))
	case !m.allowWeak && weak(token.Reveal(), part):
		return authn.Refuse(ErrWeak)
	}
	return authn.Accept(record.credential)
}

// weak reports whether a token stands in documentation, or its secret part is easily guessed.
func weak(token, part string) bool {
	return tokenstrength.Published(token) || tokenstrength.Bits(part) < minBits
}

var _ authn.TokenMechanism = (*Mechanism)(nil)
