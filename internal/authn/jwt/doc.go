// Package jwt accepts JSON Web Tokens of OpenID Connect providers by Kubernetes' own AuthenticationConfiguration (CFG-1
// to CFG-10, OIDC-1 to OIDC-19, CEL-1 to CEL-5). The verification is Kubernetes' own code, so the same file means the
// same thing here and there; this package adds what policy needs to know of a token (its id, iat and exp) and bounds
// the work.
//
// It trusts: the keys that each issuer publishes over HTTPS, and the mapping that the operator wrote.
//
// It proves: that the issuer signed the claims, that the token is for one of the configured audiences, and that it has
// not expired.
//
// It does not prove that the person is still known to the provider: until exp a token speaks for itself. Revocation
// reaches it through the credential id, JTI=<jti> within its issuer, looked up on every request after this package
// answered, also when the verification itself was remembered.
//
// A verified token is remembered for at most ten seconds, as kube-apiserver does (CACHE-1, CACHE-2), and never beyond
// its exp, which policy checks on every request.
package jwt
