package config

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TokenRequests is about ServiceAccount tokens that callers request through the gate.
type TokenRequests struct {
	// Longest lifetime to ask for, 10m at least. A request for more, or for none in particular, is changed to this, and the
	// caller is told by a warning (G-24).
	MaxLifetime Duration `json:"maxLifetime"`
}

// CheckedTokenRequests is about tokens that are requested through the gate.
type CheckedTokenRequests struct {
	// MaxLifetime is 0 where there is no bound.
	MaxLifetime time.Duration
}

func (c *checker) tokenRequests(p *field.Path, written *TokenRequests) CheckedTokenRequests {
	if written == nil {
		return CheckedTokenRequests{}
	}
	at := p.Child("maxLifetime")
	if written.MaxLifetime == 0 {
		c.required(at, "the longest lifetime that may be asked for, for example 1h")
	}
	c.durationInRange(at, written.MaxLifetime, minTokenLifetime, maxMaxLifetime)
	if lifetime := time.Duration(written.MaxLifetime); lifetime != lifetime.Truncate(time.Second) {
		c.invalid(at, written.MaxLifetime.String(), "must be whole seconds")
	}
	return CheckedTokenRequests{MaxLifetime: time.Duration(written.MaxLifetime)}
}
