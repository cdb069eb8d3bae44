package identity

// CredentialID names one credential, without helping anyone to guess or replay it. Kubernetes' own spelling is used
// where it has one: X509SHA256=<hex of the leaf> (X509-9) and JTI=<jti> (OIDC-17). The zero value names no credential,
// which only the anonymous mechanism may have.
type CredentialID struct {
	// Issuer scopes Value where it is unique only within its issuer (a jti is); empty otherwise.
	Issuer string
	// Value is the id itself, for example "X509SHA256=9f86…".
	Value string
}

// IsZero reports whether the id names no credential.
func (c CredentialID) IsZero() bool { return c == CredentialID{} }

// String gives the form used in logs: the value, followed by its issuer where it has one.
func (c CredentialID) String() string {
	if c.Issuer == "" {
		return c.Value
	}
	return c.Value + " issuer=" + c.Issuer
}
