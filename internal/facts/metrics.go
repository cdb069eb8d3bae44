package facts

import "time"

// Metrics is what an API server counts of authentication (its /metrics).
type Metrics struct {
	// Server is the API server that was asked.
	Server string `json:"server"`
	// FailedAttempts are requests whose credential was refused since the start, by nobody's address.
	FailedAttempts int `json:"failedAttempts,omitempty"`
	// StaleTokens are requests with a token of a ServiceAccount that lived on only because its end was put off.
	StaleTokens int `json:"staleTokens,omitempty"`
	// ReloadFailed and ReloadWorked are when the AuthenticationConfiguration was last read anew; zero where it was not.
	ReloadFailed time.Time `json:"reloadFailed,omitzero"`
	ReloadWorked time.Time `json:"reloadWorked,omitzero"`
	// KeyFetches are how fetching the keys of providers went.
	KeyFetches []KeyFetch `json:"keyFetches,omitempty"`
}

// KeyFetch is how fetching one provider's keys went last.
type KeyFetch struct {
	// IssuerHash names the provider as Kubernetes' metrics do: "sha256:" and the digest of its URL in hex.
	IssuerHash string `json:"issuerHash"`
	// Worked and Failed are the last times; zero where there was none.
	Worked time.Time `json:"worked,omitzero"`
	Failed time.Time `json:"failed,omitzero"`
}

// KeySet is what a provider publishes to verify its tokens with.
type KeySet struct {
	Issuer string         `json:"issuer"`
	File   string         `json:"file"`
	Keys   []PublishedKey `json:"keys,omitempty"`
}

// PublishedKey is one key of a JSON Web Key Set (RFC 7517).
type PublishedKey struct {
	ID      string `json:"id,omitempty"`
	KeyType string `json:"keyType"` // as RFC 7518 spells it: "RSA", "EC", "OKP", "oct"
	KeyBits int    `json:"keyBits,omitempty"`
}
