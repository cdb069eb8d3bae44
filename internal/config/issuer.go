package config

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ostiary/ostiary/internal/issuer"
)

// Issuer is Ostiary's own certificate authority (G-04, G-09). Its certificates are accepted by Ostiary alone, and only while they
// are on record: never give its root to an API server.
type Issuer struct {
	// File with the root's key and certificate, PEM: make it with "ostiary issuer new-root FILE". All replicas need the same.
	// Nobody but its owner may read it, and a link must not lead out of its folder; a Kubernetes Secret that is mounted with
	// defaultMode 0400 will do.
	RootFile string `json:"rootFile"`
	// Longest lifetime of a certificate, whoever asks for it, 1m to 24h. Default 12h.
	MaxLifetime Duration `json:"maxLifetime,omitzero" jsonschema:"default=12h"`
	// Networks (CIDR) from which what was issued is accepted; empty means from anywhere (G-20).
	AllowedNetworks []string `json:"allowedNetworks,omitempty"`
	// User and group names starting with "system:" that may be given to machines. A trailing "*" stands for any ending. What
	// people and pipelines carry is settled by the mechanism that they signed in with.
	AllowedSystemNames []string `json:"allowedSystemNames,omitempty"`
	// Static tokens that the issuer makes.
	StaticTokens IssuedTokens `json:"staticTokens,omitzero"`
}

// IssuedTokens are static tokens that the issuer makes: strong, shown once, and kept as a keyed digest.
type IssuedTokens struct {
	// Longest lifetime, and that of a token for which none is asked, 1m to 8760h. Default 2160h (90 days).
	MaxLifetime Duration `json:"maxLifetime,omitzero" jsonschema:"default=2160h"`
	// How long a token lives on after its owner rotated it (G-14), 1s to 168h. Default 1h.
	RotationGrace Duration `json:"rotationGrace,omitzero" jsonschema:"default=1h"`
}

// SignIn is how people and pipelines exchange a token that the first of the mechanisms jwt and tokenRequest accepts for a credential
// of Ostiary's own. Whoever authentication.jwt lets in can sign in.
type SignIn struct {
	// OpenID Connect providers where people sign in. Each is an issuer of authentication.jwt too. Tokens of all other issuers are
	// taken for those of pipelines.
	Providers []Provider `json:"providers,omitempty"`
	// People who signed in at one of the providers.
	People People `json:"people,omitzero"`
	// Pipelines: whoever exchanges another token, of a CI system or of a ServiceAccount.
	Pipelines Pipelines `json:"pipelines,omitzero"`
}

// Provider is an OpenID Connect provider. Clients sign in there as a public client with PKCE.
type Provider struct {
	// Name in commands and in the path of its logout, /.ostiary/logout/<name>: a DNS label, unique.
	Name string `json:"name"`
	// Issuer URL, as in authentication.jwt.
	Issuer string `json:"issuer" jsonschema:"pattern=^https://"`
	// The client's id at the provider; it is the audience of the tokens.
	ClientID string `json:"clientID"`
	// Scopes that clients ask for. Default openid and offline_access.
	Scopes []string `json:"scopes,omitempty"`
	// Ways in which clients may sign in, the preferred first: code (a browser on the same machine), device, paste. Default all
	// three.
	Flows []string `json:"flows,omitempty" jsonschema:"enum=code,enum=device,enum=paste"`
	// The CAs that vouch for the provider, PEM. Left out, the host's roots, and those of the client's machine.
	CertificateAuthorityFile string `json:"certificateAuthorityFile,omitempty"`
}

// People is how long people stay signed in.
type People struct {
	// Of a certificate, 1m up to issuer.maxLifetime. It is renewed by itself as long as the provider agrees. Default 1h.
	Lifetime Duration `json:"lifetime,omitzero" jsonschema:"default=1h"`
	// Of a session: whoever signed in must sign in again after it, 1m to 720h. Default 12h.
	Session Duration `json:"session,omitzero" jsonschema:"default=12h"`
}

// Pipelines is how long what pipelines get holds.
type Pipelines struct {
	// Of a certificate, and of its session: 1m up to issuer.maxLifetime. Default 15m.
	Lifetime Duration `json:"lifetime,omitzero" jsonschema:"default=15m"`
}

// The defaults, and the bounds of what may be written instead.
const (
	defaultIssuedLifetime   = 12 * time.Hour
	defaultPeopleLifetime   = time.Hour
	defaultPeopleSession    = 12 * time.Hour
	defaultPipelineLifetime = 15 * time.Minute
	minIssuedLifetime       = time.Minute
	maxPeopleSession        = 30 * 24 * time.Hour
	defaultTokenLifetime    = 90 * 24 * time.Hour
	maxTokenLifetime        = 365 * 24 * time.Hour
	defaultRotationGrace    = time.Hour
	minRotationGrace        = time.Second
	maxRotationGrace        = 7 * 24 * time.Hour
)

// CheckedIssuer is Ostiary's own certificate authority.
type CheckedIssuer struct {
	Root        *issuer.Root
	MaxLifetime time.Duration
	// TokenLifetime is the longest of a static token, and RotationGrace how long one lives on that was rotated.
	TokenLifetime, RotationGrace time.Duration
	CheckedPolicy
	Digest Digest
}

// CheckedSignIn is how people and pipelines sign in.
type CheckedSignIn struct {
	Providers                                       []CheckedProvider
	PeopleLifetime, PeopleSession, PipelineLifetime time.Duration
}

// CheckedProvider is an OpenID Connect provider.
type CheckedProvider struct {
	Name, Issuer, ClientID string
	Scopes, Flows          []string
	// Authorities is nil for the host's roots.
	Authorities *Bundle
}

func (i *Issuer) setDefaults() {
	setDefault(&i.MaxLifetime, Duration(defaultIssuedLifetime))
	setDefault(&i.StaticTokens.MaxLifetime, Duration(defaultTokenLifetime))
	setDefault(&i.StaticTokens.RotationGrace, Duration(defaultRotationGrace))
}

func (s *SignIn) setDefaults() {
	setDefault(&s.People.Lifetime, Duration(defaultPeopleLifetime))
	setDefault(&s.People.Session, Duration(defaultPeopleSession))
	setDefault(&s.Pipelines.Lifetime, Duration(defaultPipelineLifetime))
	for i := range s.Providers {
		if len(s.Providers[i].Scopes) == 0 {
			s.Providers[i].Scopes = defaultScopes()
		}
		if len(s.Providers[i].Flows) == 0 {
			s.Providers[i].Flows = allFlows()
		}
	}
}

func defaultScopes() []string { return []string{"openid", "offline_access"} }

func allFlows() []string { return []string{"code", "device", "paste"} }

func (c *checker) issuer(p *field.Path, written *Issuer, checked *Checked) *CheckedIssuer {
	if written == nil {
		return nil
	}
	if checked.Ledger == nil {
		c.required(field.NewPath("ledger"), "an issuer needs a ledger: what is not on record does not count")
	}
	full := *written
	full.setDefaults()
	c.durationInRange(p.Child("maxLifetime"), written.MaxLifetime, minIssuedLifetime, issuer.HardCap)
	tokens := p.Child("staticTokens")
	c.durationInRange(tokens.Child("maxLifetime"), written.StaticTokens.MaxLifetime, minIssuedLifetime, maxTokenLifetime)
	c.durationInRange(tokens.Child("rotationGrace"), written.StaticTokens.RotationGrace, minRotationGrace, maxRotationGrace)
	made := &CheckedIssuer{
		TokenLifetime: time.Duration(full.StaticTokens.MaxLifetime), RotationGrace: time.Duration(full.StaticTokens.RotationGrace),
		MaxLifetime:   time.Duration(full.MaxLifetime),
		CheckedPolicy: c.policy(p, MechanismPolicy{AllowedNetworks: written.AllowedNetworks, AllowedSystemNames: written.AllowedSystemNames}),
	}
	at := p.Child("rootFile")
	data, path := c.private(at, written.RootFile)
	if data == nil {
		return made
	}
	if err := staysInside(path); err != nil {
		c.invalid(at, written.RootFile, "%s %s", path, err)
		return made
	}
	root, err := issuer.ParseRoot(data, c.now)
	if err != nil {
		c.invalid(at, written.RootFile, "%s is %s", path, err)
		return made
	}
	made.Root, made.Digest = root, digestOf(c.settings(p, written), root.Certificate.Raw)
	for where, bundle := range checked.trusted() {
		for _, certificate := range bundle.Certificates {
			if slices.Equal(certificate.RawSubjectPublicKeyInfo, root.Certificate.RawSubjectPublicKeyInfo) {
				c.invalid(at, written.RootFile, "%s trusts it, too: its certificates would be taken there without a look at the record; remove it there", where)
			}
		}
	}
	return made
}

// trusted are all bundles of CAs in the configuration, by the fields that name them.
func (c *Checked) trusted() map[string]*Bundle {
	all := make(map[string]*Bundle)
	if m := c.ClientCertificate; m != nil {
		all["authentication.clientCertificate.caFiles"] = &m.Authorities
	}
	if m := c.ProxyHeader; m != nil {
		all["authentication.proxyHeader.caFiles"] = &m.Authorities
	}
	if balancers := c.Listen.Balancers.CertificateAuthorities; balancers != nil {
		all["listen.clientCertificateHeader"] = balancers
	}
	if reviews := c.TokenReview; reviews != nil {
		for i := range reviews.Callers {
			all["tokenReview.callers: "+reviews.Callers[i].Name] = &reviews.Callers[i].Authorities
		}
	}
	for i := range c.Clusters {
		all["clusters: "+c.Clusters[i].Name] = &c.Clusters[i].Authorities
	}
	return all
}

// errLink refuses a link that leads elsewhere: whoever can change it would choose the key.
var errLink = errors.New("is a link that leads out of its folder; name the file itself")

// staysInside returns an error if a file is a link out of its folder. Those of a Kubernetes volume stay inside.
func staysInside(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return reason(err)
	}
	if info.Mode()&os.ModeSymlink == 0 {
		return nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return reason(err)
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return reason(err)
	}
	if inside, err := filepath.Rel(folder, file); err != nil || !filepath.IsLocal(inside) {
		return errLink
	}
	return nil
}

func (c *checker) signIn(p *field.Path, written *SignIn, checked *Checked) *CheckedSignIn {
	if written == nil {
		return nil
	}
	if checked.Issuer == nil {
		c.required(field.NewPath("issuer"), "who signs in gets a credential: write issuer")
		return nil
	}
	full := SignIn{People: written.People, Pipelines: written.Pipelines}
	full.setDefaults()
	longest := checked.Issuer.MaxLifetime
	c.durationInRange(p.Child("people", "lifetime"), written.People.Lifetime, minIssuedLifetime, longest)
	c.durationInRange(p.Child("people", "session"), written.People.Session, minIssuedLifetime, maxPeopleSession)
	c.durationInRange(p.Child("pipelines", "lifetime"), written.Pipelines.Lifetime, minIssuedLifetime, longest)
	if checked.JWT == nil && checked.TokenRequest == nil {
		c.required(p, "nobody could sign in: write authentication.jwt or authentication.tokenRequest")
	}
	made := &CheckedSignIn{
		PeopleLifetime: min(time.Duration(full.People.Lifetime), longest), PeopleSession: time.Duration(full.People.Session),
		PipelineLifetime: min(time.Duration(full.Pipelines.Lifetime), longest),
	}
	names, issuers := map[string]bool{}, map[string]bool{}
	for i := range written.Providers {
		at, one := p.Child("providers").Index(i), &written.Providers[i]
		c.provider(at, one)
		if names[one.Name] {
			c.duplicate(at.Child("name"), one.Name, "names tell providers apart")
		}
		if issuers[one.Issuer] {
			c.duplicate(at.Child("issuer"), one.Issuer, "an issuer is one provider")
		}
		names[one.Name], issuers[one.Issuer] = true, true
		provider := CheckedProvider{Name: one.Name, Issuer: one.Issuer, ClientID: one.ClientID, Scopes: one.Scopes, Flows: one.Flows}
		if len(provider.Scopes) == 0 {
			provider.Scopes = defaultScopes()
		}
		if len(provider.Flows) == 0 {
			provider.Flows = allFlows()
		}
		if one.CertificateAuthorityFile != "" {
			provider.Authorities = c.bundle([]string{one.CertificateAuthorityFile}, func(int) *field.Path { return at.Child("certificateAuthorityFile") })
		}
		made.Providers = append(made.Providers, provider)
	}
	return made
}

func (c *checker) provider(p *field.Path, written *Provider) {
	c.label(p.Child("name"), written.Name)
	address, err := url.Parse(written.Issuer)
	if err != nil || address.Scheme != "https" || address.Host == "" || address.RawQuery != "" || address.Fragment != "" || address.User != nil {
		c.invalid(p.Child("issuer"), written.Issuer, "must be an https URL without query and fragment, as in authentication.jwt")
	}
	if written.ClientID == "" {
		c.required(p.Child("clientID"), "the id of the public client at the provider")
	}
	c.names(p.Child("scopes"), written.Scopes, "a scope")
	if len(written.Scopes) > 0 && !slices.Contains(written.Scopes, "openid") {
		c.invalid(p.Child("scopes"), strings.Join(written.Scopes, " "), "must hold openid: without it there is no ID token")
	}
	for i, flow := range written.Flows {
		if !slices.Contains(allFlows(), flow) {
			c.invalid(p.Child("flows").Index(i), flow, "known here: %s", strings.Join(allFlows(), ", "))
		}
	}
}
