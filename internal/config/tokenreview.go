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

func (c *checker) tokenReview(p *field.Path, all *Configuration, parts *Checked) *CheckedTokenReview {
	written := all.TokenReview
	if written == nil {
		return nil
	}
	if at := p.Child("address"); c.address(at, written.Address) {
		c.ownAddress(at, written.Address, "listen", all.Listen.Address)
		if all.Admin != nil {
			c.ownAddress(at, written.Address, "admin", all.Admin.Address)
		}
	}
	on := all.Authentication.mechanisms()
	c.warnUnreachable(p.Child("callers"), written, parts)
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
		caller := c.caller(at, &written.Callers[i], parts, on)
		for _, other := range checked.Callers {
			if other.Name == caller.Name {
				c.duplicate(at.Child("name"), caller.Name, "each caller needs a name of its own")
			}
			if related(&other.Authorities, &caller.Authorities) && sharesName(other.AllowedNames, caller.AllowedNames) {
				c.invalid(at, field.OmitValueType{}, "cannot be told from caller %s: both have the same CA, or one that signed the other, and the same common name", other.Name)
			}
		}
		checked.Callers = append(checked.Callers, caller)
	}
	return checked
}

func (c *checker) ownAddress(p *field.Path, written, section, taken string) {
	if addressesCollide(written, taken) {
		c.invalid(p, written, "is also %s.address (%s); give the listener for reviews a port of its own", section, taken)
	}
}

// warnUnreachable warns of mechanisms that refuse every token which an API server asks about.
func (c *checker) warnUnreachable(p *field.Path, written *TokenReview, parts *Checked) {
	restricted := map[identity.Mechanism]bool{
		identity.StaticToken: parts.StaticToken != nil && len(parts.StaticToken.AllowedNetworks) > 0,
		identity.JWT:         parts.JWT != nil && len(parts.JWT.AllowedNetworks) > 0,
		identity.Webhook:     parts.Webhook != nil && len(parts.Webhook.AllowedNetworks) > 0,
	}
	for i := range written.Callers {
		for j, name := range written.Callers[i].Mechanisms {
			if restricted[identity.Mechanism(name)] {
				c.warn(p.Index(i).Child("mechanisms").Index(j), "a review does not say where its token comes from, so authentication.%s.allowedNetworks refuses all of this caller's; remove one of the two", name)
			}
		}
	}
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
	if users := all.ClientCertificate; users != nil && related(authorities, &users.Authorities) {
		c.invalid(files, written.CAFiles, "is, signed or was signed by a CA of authentication.clientCertificate.caFiles: then a user's certificate could pass for an API server's; use another CA")
	}
	return checked
}

// related reports whether one certificate could chain to both bundles: they have a key in common, or a CA of one has
// signed a CA of the other.
func related(a, b *Bundle) bool {
	return shareKey(a, b) || hasSigned(a, b) || hasSigned(b, a)
}

func hasSigned(a, b *Bundle) bool {
	for _, parent := range a.Certificates {
		for _, child := range b.Certificates {
			if child.CheckSignatureFrom(parent) == nil {
				return true
			}
		}
	}
	return false
}

func sharesName(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
