package config

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ostiary/ostiary/internal/identity"
)

// TokenReview is the listener where API servers ask about bearer tokens: Ostiary as the webhook of their
// --authentication-token-webhook-config-file. It answers POST /tokenreview.
type TokenReview struct {
	// Host and port.
	Address string `json:"address"`
	// The certificate that API servers verify, and its key, PEM.
	TLS KeyPair `json:"tls"`
	// Who may ask. Each API server is known by its client certificate.
	Callers []Caller `json:"callers" jsonschema:"minItems=1"`
}

// Caller is an API server that may ask, and what it is told.
type Caller struct {
	// Name for logs, and the cluster that group rules know it by: a DNS label, unique.
	Name string `json:"name"`
	// PEM bundles of the CAs that may have signed the caller's client certificate; not those of users.
	CAFiles []string `json:"caFiles" jsonschema:"minItems=1"`
	// Common names of the caller's certificate. At least one.
	AllowedNames []string `json:"allowedNames" jsonschema:"minItems=1"`
	// Mechanisms whose tokens are accepted for this caller, each configured under authentication. Tokens of the cluster's
	// own, such as ServiceAccounts', are for the cluster to judge.
	Mechanisms []string `json:"mechanisms" jsonschema:"minItems=1,enum=staticToken,enum=jwt,enum=webhook"`
	// The caller's API audiences (AUD-1), its --api-audiences. Left out, those of authentication.audiences.
	Audiences []string `json:"audiences,omitempty"`
}

// CheckedTokenReview is the listener where API servers ask.
type CheckedTokenReview struct {
	Address string
	TLS     Pair
	Callers []CheckedCaller // never empty
}

// CheckedCaller is an API server that may ask.
type CheckedCaller struct {
	Name         string
	Authorities  Bundle
	AllowedNames []string
	Mechanisms   []identity.Mechanism
	Audiences    []string
}

// reviewable are the mechanisms that can judge a token without the request that brought it.
func reviewable() []identity.Mechanism {
	return []identity.Mechanism{identity.StaticToken, identity.JWT, identity.Webhook}
}

func (c *checker) tokenReview(p *field.Path, written *TokenReview, all *Checked, on []identity.Mechanism) *CheckedTokenReview {
	if written == nil {
		return nil
	}
	c.address(p.Child("address"), written.Address)
	checked := &CheckedTokenReview{Address: written.Address}
	if pair := c.serverPair(p.Child("tls"), written.TLS); pair != nil {
		checked.TLS = *pair
	}
	callers := p.Child("callers")
	if len(written.Callers) == 0 {
		c.required(callers, "name the API servers that may ask; nobody else is answered")
	}
	for i := range written.Callers {
		at := callers.Index(i)
		caller := c.caller(at, &written.Callers[i], all, on)
		for _, other := range checked.Callers {
			if other.Name == caller.Name {
				c.duplicate(at.Child("name"), caller.Name, "each caller needs a name of its own")
			}
			if shareKey(&other.Authorities, &caller.Authorities) && sharesName(other.AllowedNames, caller.AllowedNames) {
				c.invalid(at, field.OmitValueType{}, "cannot be told from caller %s: both have the same CA and common name", other.Name)
			}
		}
		checked.Callers = append(checked.Callers, caller)
	}
	return checked
}

func (c *checker) caller(p *field.Path, written *Caller, all *Checked, on []identity.Mechanism) CheckedCaller {
	c.label(p.Child("name"), written.Name)
	checked := CheckedCaller{Name: written.Name, AllowedNames: written.AllowedNames, Audiences: written.Audiences}
	c.names(p.Child("audiences"), written.Audiences, "an audience")
	if len(checked.Audiences) == 0 {
		checked.Audiences = all.Audiences
	}
	c.names(p.Child("allowedNames"), written.AllowedNames, "a common name")
	if len(written.AllowedNames) == 0 {
		c.required(p.Child("allowedNames"), "name the common names of the caller's certificates")
	}
	at := p.Child("mechanisms")
	if len(written.Mechanisms) == 0 {
		c.required(at, "name the mechanisms whose tokens are accepted for this caller")
	}
	c.names(at, written.Mechanisms, "a mechanism")
	for i, name := range written.Mechanisms {
		mechanism := identity.Mechanism(name)
		switch {
		case !slices.Contains(reviewable(), mechanism):
			c.errs = append(c.errs, field.NotSupported(at.Index(i), mechanism, reviewable()))
		case !slices.Contains(on, mechanism):
			c.invalid(at.Index(i), name, "is not configured under authentication")
		default:
			checked.Mechanisms = append(checked.Mechanisms, mechanism)
		}
	}
	files := p.Child("caFiles")
	if len(written.CAFiles) == 0 {
		c.required(files, "name the CAs that sign the caller's client certificate")
		return checked
	}
	c.names(files, written.CAFiles, "a file")
	authorities := c.bundle(written.CAFiles, files.Index)
	if authorities == nil {
		return checked
	}
	checked.Authorities = *authorities
	if users := all.ClientCertificate; users != nil && shareKey(authorities, &users.Authorities) {
		c.invalid(files, written.CAFiles, "shares a key with authentication.clientCertificate.caFiles: then a user's certificate could pass for an API server's; use another CA")
	}
	return checked
}

func sharesName(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
