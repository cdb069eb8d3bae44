package serviceaccount

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

const (
	// aliveHolds is how long the cluster's yes is remembered: kube-apiserver's own figure (CACHE-2).
	aliveHolds = 10 * time.Second
	// deadHolds is how long its no is. A client that repeats a dead token must not cost the cluster a question each.
	deadHolds = time.Second
	// askTimeout bounds one question to the cluster.
	askTimeout = 10 * time.Second
	// maxAsking bounds the questions under way, to one cluster: more than a healthy one needs, and little to keep waiting.
	maxAsking = 100
	// maxStrangers of them may be about strangers' tokens, whose keys may have to be waited for besides.
	maxStrangers = 75
)

// Cluster answers what only the cluster knows.
type Cluster interface {
	// ReviewToken asks whether the cluster accepts a token.
	ReviewToken(ctx context.Context, token secret.String, audiences []string) (*authenticationv1.TokenReviewStatus, error)
	// SecretMetadata returns a Secret's metadata.
	SecretMetadata(ctx context.Context, namespace, name string) (*metav1.ObjectMeta, error)
}

// Config is what an Authority is made of. Cluster, Keys and Issuers are required.
type Config struct {
	Cluster Cluster
	Keys    Keys
	// Issuers are the cluster's own, for requested tokens.
	Issuers []string
	// MaxAge and MaxIdle bound the age and the idle time of tokens in Secrets (G-19); 0 means no bound. Where there is one,
	// the Secret's metadata is read.
	MaxAge, MaxIdle time.Duration
}

// Authority knows one cluster's ServiceAccount tokens. It is safe for concurrent use.
type Authority struct {
	config Config
	asking *semaphore.Weighted
	room   *authn.Room
}

// New returns an Authority.
func New(config Config) (*Authority, error) {
	if config.Cluster == nil || config.Keys == nil || len(config.Issuers) == 0 {
		return nil, errors.New("serviceaccount: cluster, keys and issuers are required")
	}
	return &Authority{config: config, asking: semaphore.NewWeighted(maxAsking), room: authn.NewRoom("ServiceAccounts' tokens", maxStrangers)}, nil
}

// Ready returns an error while no token could be judged.
func (a *Authority) Ready() error { return a.config.Keys.Ready() }

// Mechanism accepts one of the two kinds of tokens.
type Mechanism struct {
	issuers []string
	alive   authenticator.Token
	room    *authn.Room
}

// Secrets returns the mechanism for tokens that are kept in Secrets.
func (a *Authority) Secrets() *Mechanism {
	return a.mechanism([]string{secretIssuer}, func(ctx context.Context, token string) (*claims, error) {
		var private secretClaims
		public, parsed, err := verify(ctx, a.config.Keys, []string{secretIssuer}, token, &private)
		if err != nil || !parsed {
			return nil, err
		}
		return inSecret(public, &private)
	})
}

// Requested returns the mechanism for tokens that were requested.
func (a *Authority) Requested() *Mechanism {
	return a.mechanism(a.config.Issuers, func(ctx context.Context, token string) (*claims, error) {
		var private boundClaims
		public, parsed, err := verify(ctx, a.config.Keys, a.config.Issuers, token, &private)
		if err != nil || !parsed {
			return nil, err
		}
		if err := times(public, time.Now()); err != nil {
			return nil, err
		}
		return bound(public, &private)
	})
}

// mechanism puts the local judgement, read, before the cluster's, and remembers the latter. read returns nil claims for
// what is no token.
func (a *Authority) mechanism(issuers []string, read func(ctx context.Context, token string) (*claims, error)) *Mechanism {
	judge := authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		claims, err := read(ctx, token)
		if err != nil || claims == nil {
			return nil, false, err
		}
		return a.ask(ctx, token, claims)
	})
	return &Mechanism{issuers: issuers, alive: cache.New(judge, false, aliveHolds, deadHolds), room: a.room}
}

// AuthenticateToken answers for one token. A token of another issuer is no credential of this mechanism (SAB-1).
func (m *Mechanism) AuthenticateToken(ctx context.Context, r *authn.Request, token secret.String) authn.Answer {
	raw := token.Reveal()
	if len(raw) > maxTokenBytes {
		return authn.None() // nothing of a cluster's own; the mechanisms after this one may say more
	}
	if issuer, ok := issuerOf(raw); !ok || !slices.Contains(m.issuers, issuer) {
		return authn.None()
	}
	if len(r.Audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, r.Audiences)
	}
	leave, err := m.room.Enter(r)
	if err != nil {
		return authn.Fail(err)
	}
	defer leave()
	response, ok, err := m.alive.AuthenticateToken(ctx, raw)
	switch {
	case errors.Is(err, errAsk), err != nil && ctx.Err() != nil:
		return authn.Fail(err)
	case errors.Is(err, errIdle):
		return authn.Refuse(err)
	case err != nil:
		return authn.Reject(err)
	case !ok:
		return authn.Reject(errDead)
	}
	known, ok := response.User.(*account)
	if !ok {
		return authn.Fail(fmt.Errorf("unexpected user type %T", response.User))
	}
	return authn.Accept(known.credential)
}

// account carries the credential through Kubernetes' cache.
type account struct {
	user.DefaultInfo
	credential *authn.Credential
}

// Errors of the cluster's judgement.
var (
	errAsk   = errors.New("the cluster could not be asked about the token")
	errDead  = errors.New("the cluster does not accept the token: its account, Secret, pod or node is gone, or it is no token of the cluster's")
	errOther = errors.New("the cluster takes the token for somebody else's")
	errIdle  = errors.New("the token was not used for longer than is allowed")
)

// ask has the cluster judge a token that passed here.
func (a *Authority) ask(ctx context.Context, token string, c *claims) (*authenticator.Response, bool, error) {
	targets, _ := authenticator.AudiencesFrom(ctx)
	if !c.forAudience(targets) {
		return nil, false, errAudience
	}
	if !a.asking.TryAcquire(1) {
		return nil, false, fmt.Errorf("%w: %d questions are under way", errAsk, maxAsking)
	}
	defer a.asking.Release(1)
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	credential, err := a.describe(ctx, token, c)
	if err != nil {
		return nil, false, err
	}
	status, err := a.config.Cluster.ReviewToken(ctx, secret.New(token), targets)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%w: %w", errAsk, err)
	case !status.Authenticated:
		return nil, false, nil
	case status.User.Username != c.username() || status.User.UID != c.uid:
		// The cluster may know the token by another mechanism, such as a webhook of its own.
		return nil, false, fmt.Errorf("%w: %q", errOther, status.User.Username)
	case len(targets) > 0 && !slices.ContainsFunc(targets, func(target string) bool { return slices.Contains(status.Audiences, target) }):
		return nil, false, errAudience
	}
	credential.Audiences = status.Audiences
	if len(status.User.Extra) > 0 {
		credential.Identity.Extra = make(map[string][]string, len(status.User.Extra))
		for key, values := range status.User.Extra {
			credential.Identity.Extra[key] = values
		}
	}
	return &authenticator.Response{User: &account{credential: credential}, Audiences: status.Audiences}, true, nil
}

// describe makes the credential of a token, and judges the Secret that holds it.
func (a *Authority) describe(ctx context.Context, token string, c *claims) (*authn.Credential, error) {
	credential := &authn.Credential{
		ID:        identity.CredentialID{Issuer: c.Issuer, Value: "JTI=" + c.ID},
		Mechanism: identity.TokenRequest,
		Identity: identity.Identity{
			Username: c.username(), UID: c.uid,
			Groups: []string{identity.GroupServiceAccounts, identity.GroupServiceAccounts + ":" + c.namespace}, // SAL-14
		},
		NotBefore: claimTime(c.IssuedAt), NotAfter: claimTime(c.Expiry), Leeway: leeway,
	}
	// The signature makes a digest useless for guessing.
	digest := sha256.Sum256([]byte(token))
	switch {
	case c.secret != "":
		credential.Mechanism = identity.ServiceAccount
		credential.ID.Value = "SECRET=" + c.namespace + "/" + c.secret + "/" + hex.EncodeToString(digest[:idBytes])
		credential.NotBefore, credential.NotAfter, credential.Leeway = time.Time{}, time.Time{}, 0 // SAL-3
		return credential, a.judgeSecret(ctx, c, credential)
	case c.ID == "":
		credential.ID.Value = "JWTSHA256=" + hex.EncodeToString(digest[:])
	}
	return credential, nil
}

// idBytes of a digest tell one Secret's token from that of another Secret of the same name.
const idBytes = 8

// The label by which a cluster notes when a Secret's token was last used, and its form (SAL-11).
const (
	lastUsedLabel = "kubernetes.io/legacy-token-last-used"
	day           = 24 * time.Hour
)

// judgeSecret bounds the age and the idle time of a Secret's token (G-19). It must run before the cluster is asked about
// the token, which counts as a use.
func (a *Authority) judgeSecret(ctx context.Context, c *claims, credential *authn.Credential) error {
	if a.config.MaxAge == 0 && a.config.MaxIdle == 0 {
		return nil
	}
	metadata, err := a.config.Cluster.SecretMetadata(ctx, c.namespace, c.secret)
	switch {
	case apierrors.IsNotFound(err):
		return errDead
	case err != nil:
		return fmt.Errorf("%w: %w", errAsk, err)
	}
	created := metadata.CreationTimestamp.Time
	if a.config.MaxAge > 0 {
		credential.NotBefore, credential.NotAfter = created, created.Add(a.config.MaxAge)
	}
	if a.config.MaxIdle == 0 {
		return nil
	}
	used := created
	if noted, err := time.Parse(time.DateOnly, metadata.Labels[lastUsedLabel]); err == nil {
		used = noted.Add(day) // some time on that day
	}
	if idle := time.Since(used); idle > a.config.MaxIdle {
		return fmt.Errorf("%w: for %s, allowed are %s", errIdle, idle.Truncate(time.Second), a.config.MaxIdle)
	}
	return nil
}

var _ authn.TokenMechanism = (*Mechanism)(nil)
