package decisions_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/minter"
)

// issuer is a provider of tokens with two published keys, "rsa" for RS256 and "ec" for ES256, and one that it does not
// publish, "hidden".
type issuer struct {
	*minter.Minter
	rsa crypto.Signer
	// honest are the claims beyond those of every token, which a token needs to be let in.
	honest with
}

// with is what a token's claims have that those of an honest token have not.
type with map[string]any

// absent removes a claim.
type absent struct{}

// issuers are those that all servers know, each mapped in another way.
type issuers struct {
	// mapped takes "sub" and "groups" as they are.
	mapped *issuer
	// prefixed takes "email", "roles" and "uid", puts a prefix before names, and requires hd=example.com.
	prefixed *issuer
	// cel maps by expressions.
	cel *issuer
}

func (i *issuers) start(ctx context.Context) error {
	for _, one := range []struct {
		into   **issuer
		honest with
	}{
		{&i.mapped, with{}},
		{&i.prefixed, with{"email": "jane@example.com", "roles": []string{"dev"}, "uid": "u-1", "hd": "example.com"}},
		{&i.cel, with{"username": "jane"}},
	} {
		m, err := minter.Start(ctx)
		if err != nil {
			return errors.Join(err, i.stop())
		}
		*one.into = &issuer{Minter: m, honest: one.honest}
		if (*one.into).rsa, err = m.NewKey("rsa", "RS256"); err != nil {
			return errors.Join(err, i.stop())
		}
		if _, err := m.NewKey("ec", "ES256"); err != nil {
			return errors.Join(err, i.stop())
		}
		if _, err := m.NewSecretKey("hidden", "RS256"); err != nil {
			return errors.Join(err, i.stop())
		}
	}
	return nil
}

func (i *issuers) stop() error {
	var errs []error
	for _, issuer := range []*issuer{i.mapped, i.prefixed, i.cel} {
		if issuer != nil {
			errs = append(errs, issuer.Stop())
		}
	}
	return errors.Join(errs...)
}

// configuration is the AuthenticationConfiguration that all servers are given.
func (i *issuers) configuration() []byte {
	entry := func(issuer *issuer, rest map[string]any) map[string]any {
		rest["issuer"] = map[string]any{
			"url": issuer.Issuer, "certificateAuthority": string(issuer.CA),
			"audiences": []string{"ostiary", "second"}, "audienceMatchPolicy": "MatchAny",
		}
		return rest
	}
	expression := func(text string) map[string]any { return map[string]any{"expression": text} }
	content, err := yaml.Marshal(map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"jwt": []any{
			entry(i.mapped, map[string]any{"claimMappings": map[string]any{
				"username": map[string]any{"claim": "sub", "prefix": ""},
				"groups":   map[string]any{"claim": "groups", "prefix": ""},
			}}),
			entry(i.prefixed, map[string]any{
				"claimValidationRules": []any{map[string]any{"claim": "hd", "requiredValue": "example.com"}},
				"claimMappings": map[string]any{
					"username": map[string]any{"claim": "email", "prefix": "oidc:"},
					"groups":   map[string]any{"claim": "roles", "prefix": "oidc:"},
					"uid":      map[string]any{"claim": "uid"},
				},
			}),
			entry(i.cel, map[string]any{
				"claimValidationRules": []any{expression("!has(claims.banned) || claims.banned == false")},
				"claimMappings": map[string]any{
					"username": expression("claims.username"),
					"groups":   expression("claims.groups"),
					"uid":      expression(`claims.?uid.orValue("")`),
					"extra": []any{
						map[string]any{"key": "example.com/tenant", "valueExpression": `claims.?tenant__dash__id.orValue("")`},
						map[string]any{"key": "example.com/number", "valueExpression": `has(claims.n) ? string(claims.n + 1.0) : ""`},
						map[string]any{"key": "example.com/integer", "valueExpression": `has(claims.i) ? string(claims.i + 1) : ""`},
					},
				},
				"userValidationRules": []any{
					expression("!user.username.startsWith('blocked-')"),
					expression("user.groups.all(g, g != 'forbidden')"),
				},
			}),
		},
	})
	if err != nil {
		panic(fmt.Sprintf("an AuthenticationConfiguration of plain maps cannot be written: %v", err))
	}
	return content
}

// claims are those of an honest token with some changed.
func (i *issuer) claims(changes with) map[string]any {
	claims := i.Claims("jane", "ostiary", "dev")
	maps.Copy(claims, i.honest)
	for key, value := range changes {
		if _, ok := value.(absent); ok {
			delete(claims, key)
		} else {
			claims[key] = value
		}
	}
	return claims
}

// mint signs an honest token with some claims changed.
func (i *issuer) mint(changes with) (string, error) {
	return i.Mint(minter.Token{Algorithm: "RS256", KeyID: "rsa", Claims: i.claims(changes)})
}

// token is a call with an honest token of which some claims are changed.
func (i *issuer) token(t *testing.T, changes with) call {
	t.Helper()
	token, err := i.mint(changes)
	if err != nil {
		t.Fatal(err)
	}
	return call{headers: bearer(token)}
}

// sign is a token made as it is told. Without claims or payload it has those of an honest one.
func (i *issuer) sign(t *testing.T, token minter.Token) string {
	t.Helper()
	if token.Claims == nil && token.Payload == nil {
		token.Claims = i.claims(nil)
	}
	signed, err := i.Mint(token)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
