// Package policy is temporary.
package policy

import (
	"net/netip"
	"time"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// MechanismRules are rules.
type MechanismRules struct {
	AllowedNetworks    []netip.Prefix
	MaxLifetime        time.Duration
	AllowedSystemNames []string
}

// GroupRule is a rule.
type GroupRule struct {
	Name       string
	Users      []string
	Groups     []string
	Mechanisms []identity.Mechanism
	Clusters   []string
	Remove     []string
	Rename     map[string]string
	Add        []string
}

// Config is config.
type Config struct {
	Mechanisms map[identity.Mechanism]MechanismRules
	GroupRules []GroupRule
}

// Policy is policy.
type Policy struct{}

// New is new.
func New(Config) (*Policy, error) { return &Policy{}, nil }

// Admit admits.
func (*Policy) Admit(_ *authn.Request, cred *authn.Credential) (*identity.Identity, error) {
	id := cred.Identity.Clone()
	id.AddAuthenticated()
	return id, nil
}
