package decisions_test

import (
	"context"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/minter"
)

// secretClaims are those of a token in a Secret (SAL-1), with some changed.
func (e *everything) secretClaims(secret string, changes with) map[string]any {
	account := e.objects["robot"]
	return merged(map[string]any{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:default:robot",
		"kubernetes.io/serviceaccount/namespace":            "default",
		"kubernetes.io/serviceaccount/secret.name":          secret,
		"kubernetes.io/serviceaccount/service-account.name": "robot",
		"kubernetes.io/serviceaccount/service-account.uid":  string(account.UID),
	}, changes)
}

// boundClaims are those of a requested token (TREQ-8), with some changed. Kubernetes' own claims are changed by the key
// "kubernetes.io".
func (e *everything) boundClaims(changes with) map[string]any {
	now := time.Now()
	account := e.objects["robot"]
	return merged(map[string]any{
		"iss": controlplane.Issuer, "sub": "system:serviceaccount:default:robot", "aud": []string{audience}, "jti": "id-1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{
			"namespace": "default", "serviceaccount": map[string]any{"name": "robot", "uid": string(account.UID)},
		},
	}, changes)
}

// merged is a set of claims with some changed.
func merged(claims map[string]any, changes with) map[string]any {
	for key, value := range changes {
		if _, ok := value.(absent); ok {
			delete(claims, key)
		} else {
			claims[key] = value
		}
	}
	return claims
}

// own signs claims with the API server's own key.
func (e *everything) own(claims map[string]any) (string, error) {
	return e.accounts.Mint(minter.Token{Algorithm: "RS256", KeyID: "own", Header: with{"kid": e.keyID}, Claims: claims})
}

// makeSecretTokens makes Secrets with tokens, good ones and bad ones (section 9).
func (e *everything) makeSecretTokens(ctx context.Context) error {
	e.secretTokens = make(map[string]string)
	secrets := e.plane.Admin.CoreV1().Secrets("default")
	for _, one := range []struct {
		name    string
		claims  with
		labels  map[string]string
		content string // of data.token; empty means the token itself
		absent  bool
	}{
		{name: "secret-good"},
		{name: "secret-generated", claims: with{
			"sub": "system:serviceaccount:default:old",
			"kubernetes.io/serviceaccount/service-account.name": "old",
			"kubernetes.io/serviceaccount/service-account.uid":  string(e.objects["old"].UID),
		}},
		{name: "secret-expired", claims: with{"exp": 1, "nbf": 4_000_000_000, "iat": 4_000_000_000}},
		{name: "secret-foreign-audience", claims: with{"aud": []string{"other"}}},
		{name: "secret-own-audience", claims: with{"aud": []string{"other", audience}}},
		{name: "secret-invalid", labels: map[string]string{"kubernetes.io/legacy-token-invalid-since": "2024-01-01"}},
		{name: "secret-empty-label", labels: map[string]string{"kubernetes.io/legacy-token-invalid-since": ""}},
		{name: "secret-other-content", content: "something else"},
		{name: "secret-absent", absent: true},
		{name: "secret-wrong-subject", claims: with{"sub": "system:serviceaccount:default:other"}},
		{name: "secret-no-subject", claims: with{"sub": absent{}}},
		{name: "secret-wrong-uid", claims: with{"kubernetes.io/serviceaccount/service-account.uid": "u"}},
		{name: "secret-no-uid", claims: with{"kubernetes.io/serviceaccount/service-account.uid": absent{}}},
		{name: "secret-no-name", claims: with{"kubernetes.io/serviceaccount/service-account.name": absent{}}},
		{name: "secret-no-namespace", claims: with{"kubernetes.io/serviceaccount/namespace": absent{}}},
		{name: "secret-unnamed", claims: with{"kubernetes.io/serviceaccount/secret.name": absent{}}},
		{name: "secret-number-audience", claims: with{"aud": 7}},
		{name: "secret-extra-claim", claims: with{"groups": []string{"system:masters"}}},
	} {
		token, err := e.own(e.secretClaims(one.name, one.claims))
		if err != nil {
			return err
		}
		e.secretTokens[one.name] = token
		if one.absent {
			continue
		}
		if one.content == "" {
			one.content = token
		}
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: one.name, Labels: one.labels},
			Data:       map[string][]byte{"token": []byte(one.content)},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

// sampleToken stands in Kubernetes' documentation (G-17).
const sampleToken = "abcdef.0123456789abcdef"

// makeBootstrapTokens makes bootstrap tokens in all shapes (section 8).
func (e *everything) makeBootstrapTokens(ctx context.Context) error {
	e.bootstrap = make(map[string]string)
	secrets := e.plane.Admin.CoreV1().Secrets(metav1.NamespaceSystem)
	stamp := func(in time.Duration) string { return time.Now().Add(in).UTC().Format(time.RFC3339) }
	for _, one := range []struct {
		name, token string
		change      map[string]string // an empty value removes
		kind        corev1.SecretType
	}{
		{name: "good", token: "goodid.q7x2m9k4w1z8r5t3"},
		{name: "sample", token: sampleToken},
		{name: "expired", token: "oldold.p3v8n6j1h5g9f2d7", change: map[string]string{"expiration": stamp(-time.Hour)}},
		{name: "expires later", token: "later1.c4b7l2s9u6y3i8o5", change: map[string]string{"expiration": stamp(time.Hour)}},
		{name: "bad expiration", token: "badexp.w2e5r8t1y4u7i9o3", change: map[string]string{"expiration": "tomorrow"}},
		{name: "empty expiration", token: "noexp1.a9s6d3f8g5h2j7k4", change: map[string]string{"expiration": " "}},
		{name: "no usage", token: "nouse1.z1x4c7v2b5n8m3q6", change: map[string]string{"usage-bootstrap-authentication": ""}},
		{name: "usage True", token: "use001.l5k8j2h6g9f3d7s1", change: map[string]string{"usage-bootstrap-authentication": "True"}},
		{name: "other id inside", token: "idout1.t6r3e9w2q5y8u1i4", change: map[string]string{"token-id": "idin01"}},
		{name: "other secret inside", token: "secin1.m7n4b1v8c5x2z9l6", change: map[string]string{"token-secret": "0p9o8i7u6y5t4r3e"}},
		{name: "no secret inside", token: "nosec1.h3g8f5d2s9a6q1w4", change: map[string]string{"token-secret": ""}},
		{name: "groups", token: "groups.k2j9h4g7f1d6s3a8", change: map[string]string{"auth-extra-groups": "system:bootstrappers:b,system:bootstrappers:a,system:bootstrappers:b"}},
		{name: "bad groups", token: "badgrp.y5t2r9e6w3q8u1i7", change: map[string]string{"auth-extra-groups": "system:bootstrappers:a,system:masters"}},
		{name: "trailing comma", token: "comma1.o4p7l1k8j5h2g9f6", change: map[string]string{"auth-extra-groups": "system:bootstrappers:a,"}},
		{name: "other type", token: "type01.d3s6a9z2x5c8v1b4", kind: corev1.SecretTypeOpaque},
		{name: "absent", token: "absent.n7m4q1w8e5r2t9y6", kind: "-"},
	} {
		e.bootstrap[one.name] = one.token
		if one.kind == "-" {
			continue
		}
		data := map[string]string{"token-id": one.token[:6], "token-secret": one.token[7:], "usage-bootstrap-authentication": "true"}
		maps.Copy(data, one.change)
		maps.DeleteFunc(data, func(_, value string) bool { return value == "" })
		if one.kind == "" {
			one.kind = "bootstrap.kubernetes.io/token"
		}
		_, err := secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + one.token[:6]}, Type: one.kind, StringData: data,
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}
