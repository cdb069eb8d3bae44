package serviceaccount

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/ostiary/ostiary/internal/identity"
)

const (
	// secretIssuer is the issuer of all tokens in Secrets, in every cluster (section 9).
	secretIssuer = "kubernetes/serviceaccount" //nolint:gosec // an issuer's name
	// maxTokenBytes bounds what is parsed, as for other JSON Web Tokens. Real ones have about a kilobyte.
	maxTokenBytes = 64 << 10
	// leeway is how far clocks may differ (SAB-11).
	leeway = jwt.DefaultLeeway
)

// Errors of the local judgement.
var (
	errNoKey     = errors.New("no key has the token's key id")
	errSignature = errors.New("no key verifies the token's signature")
	errIssuer    = errors.New("the verified issuer is another")
	errSubject   = errors.New("the token does not name one ServiceAccount")
	errAudience  = errors.New("the token is for another audience")
)

// issuerOf reads the issuer of a token in compact form without verifying anything; ok is false for all that is no such
// token (SAB-1).
func issuerOf(token string) (issuer string, ok bool) {
	if strings.HasPrefix(strings.TrimSpace(token), "{") {
		return "", false
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", false
	}
	return claims.Issuer, true
}

// reference names an object.
type reference struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// claims are what is read of a verified token, of either kind.
type claims struct {
	jwt.Claims
	// account is whose token it is.
	namespace, name, uid string
	// secret is the Secret that holds it, for tokens in Secrets.
	secret string
}

// boundClaims are Kubernetes' own claims of requested tokens (SAB-12).
type boundClaims struct {
	Kubernetes struct {
		Namespace string    `json:"namespace"`
		Account   reference `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// secretClaims are those of tokens in Secrets (SAL-1).
type secretClaims struct {
	Account    string `json:"kubernetes.io/serviceaccount/service-account.name"`
	AccountUID string `json:"kubernetes.io/serviceaccount/service-account.uid"`
	Secret     string `json:"kubernetes.io/serviceaccount/secret.name"`
	Namespace  string `json:"kubernetes.io/serviceaccount/namespace"`
}

// verify checks a token's signature and decodes it strictly (SAB-2 to SAB-8, SAB-10). parsed is false for what is no
// token at all.
func verify(ctx context.Context, keys Keys, issuers []string, token string, private any) (public *jwt.Claims, parsed bool, err error) {
	signed, err := jwt.ParseSigned(token)
	if err != nil {
		return nil, false, nil //nolint:nilerr // SAB-2: another mechanism's
	}
	id := ""
	for _, header := range signed.Headers {
		if header.KeyID != "" {
			id = header.KeyID
			break
		}
	}
	found := keys.Find(ctx, id)
	if len(found) == 0 {
		return nil, true, errNoKey
	}
	public = new(jwt.Claims)
	if err := decode(signed, found, public, private); err != nil {
		return nil, true, err
	}
	if !slices.Contains(issuers, public.Issuer) {
		return nil, true, errIssuer
	}
	return public, true, nil
}

// decode tries the keys in turn.
func decode(signed *jwt.JSONWebToken, keys []crypto.PublicKey, into ...any) error {
	errs := []error{errSignature}
	for _, key := range keys {
		err := signed.Claims(key, into...)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// times judges exp, nbf and iat (SAB-11).
func times(public *jwt.Claims, now time.Time) error {
	return public.ValidateWithLeeway(jwt.Expected{Time: now}, leeway)
}

// bound reads a requested token. Whether sub agrees is not asked (SAB-12).
func bound(public *jwt.Claims, private *boundClaims) (*claims, error) {
	c := &claims{Claims: *public, namespace: private.Kubernetes.Namespace, name: private.Kubernetes.Account.Name, uid: private.Kubernetes.Account.UID}
	return c, c.check()
}

// inSecret reads a token of a Secret (SAL-1, SAL-2). Its times are not judged (SAL-3).
func inSecret(public *jwt.Claims, private *secretClaims) (*claims, error) {
	c := &claims{Claims: *public, namespace: private.Namespace, name: private.Account, uid: private.AccountUID, secret: private.Secret}
	if c.secret == "" || c.uid == "" || public.Subject != c.username() {
		return nil, errSubject
	}
	return c, c.check()
}

// check sees that the names are such as a cluster can have, since they become part of a user name and of a path.
func (c *claims) check() error {
	if len(validation.IsDNS1123Label(c.namespace)) > 0 || len(validation.IsDNS1123Subdomain(c.name)) > 0 ||
		c.secret != "" && len(validation.IsDNS1123Subdomain(c.secret)) > 0 {
		return errSubject
	}
	return nil
}

func (c *claims) username() string {
	return identity.ServiceAccountPrefix + c.namespace + ":" + c.name
}

// forAudience reports whether the token can be good for one of the target audiences (SAB-9): its own say so, or it has
// none and is the API server's. With no target, the cluster decides.
func (c *claims) forAudience(targets []string) bool {
	return len(c.Audience) == 0 || len(targets) == 0 ||
		slices.ContainsFunc(targets, func(target string) bool { return slices.Contains(c.Audience, target) })
}

// claimTime is a claim as a time; zero where it is absent.
func claimTime(date *jwt.NumericDate) time.Time {
	if date == nil {
		return time.Time{}
	}
	return date.Time()
}
