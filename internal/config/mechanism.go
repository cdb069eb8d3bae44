package config

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/identity"
)

func (c *checker) authentication(p *field.Path, written *Authentication, checked *Checked) {
	checked.Audiences = written.Audiences
	c.names(p.Child("audiences"), written.Audiences, "an audience")
	if len(written.mechanisms()) == 0 {
		c.required(p, "name at least one mechanism ("+strings.Join(mechanismNames(), ", ")+"); nobody could come in")
	}
	if written.ClientCertificate != nil {
		checked.ClientCertificate = c.clientCertificate(p.Child("clientCertificate"), written.ClientCertificate)
	}
	if written.ProxyHeader != nil {
		checked.ProxyHeader = c.proxyHeader(p.Child("proxyHeader"), written.ProxyHeader, checked.ClientCertificate)
	}
	if written.ServiceAccountSecret != nil {
		checked.ServiceAccountSecret = c.serviceAccountSecret(p.Child("serviceAccountSecret"), written.ServiceAccountSecret)
	}
	if written.TokenRequest != nil {
		checked.TokenRequest = c.tokenRequest(p.Child("tokenRequest"), written.TokenRequest)
	}
	if written.BootstrapToken != nil {
		checked.BootstrapToken = c.bootstrapToken(p.Child("bootstrapToken"), written.BootstrapToken)
	}
	if written.Webhook != nil {
		checked.Webhook = c.webhook(p.Child("webhook"), written.Webhook)
	}
	if written.StaticToken != nil {
		checked.StaticToken = c.staticToken(p.Child("staticToken"), written.StaticToken)
	}
	if written.Anonymous != nil {
		checked.Anonymous = c.anonymous(p.Child("anonymous"), written.Anonymous)
	}
	if written.JWT != nil {
		checked.JWT = c.jwt(p.Child("jwt"), written)
	}
}

// mechanisms returns those that are on.
func (a *Authentication) mechanisms() []identity.Mechanism {
	var on []identity.Mechanism
	for _, mechanism := range []struct {
		name identity.Mechanism
		on   bool
	}{
		{identity.ProxyHeader, a.ProxyHeader != nil},
		{identity.ClientCertificate, a.ClientCertificate != nil},
		{identity.StaticToken, a.StaticToken != nil},
		{identity.ServiceAccount, a.ServiceAccountSecret != nil},
		{identity.TokenRequest, a.TokenRequest != nil},
		{identity.BootstrapToken, a.BootstrapToken != nil},
		{identity.JWT, a.JWT != nil},
		{identity.Webhook, a.Webhook != nil},
		{identity.AnonymousAccess, a.Anonymous != nil},
	} {
		if mechanism.on {
			on = append(on, mechanism.name)
		}
	}
	return on
}

// mechanismNames are all mechanisms that a configuration can name.
func mechanismNames() []string {
	all := Authentication{
		ProxyHeader: &ProxyHeader{}, ClientCertificate: &ClientCertificate{}, StaticToken: &StaticToken{},
		ServiceAccountSecret: &ServiceAccountSecret{}, TokenRequest: &TokenRequest{}, BootstrapToken: &BootstrapToken{},
		JWT: &JWT{}, Webhook: &Webhook{}, Anonymous: &Anonymous{},
	}
	var names []string
	for _, mechanism := range all.mechanisms() {
		names = append(names, string(mechanism))
	}
	return names
}

func (c *checker) clientCertificate(p *field.Path, written *ClientCertificate) *CheckedClientCertificate {
	at := p.Child("caFiles")
	if len(written.CAFiles) == 0 {
		c.required(at, "name at least one bundle of the CAs that sign users' certificates")
		return nil
	}
	c.names(at, written.CAFiles, "a file")
	lifetime := c.maxLifetime(p, written.MaxLifetime, written.Profile)
	policy := c.policy(p, written.MechanismPolicy)
	authorities := c.bundle(written.CAFiles, at.Index)
	if authorities == nil {
		return nil
	}
	return &CheckedClientCertificate{
		Authorities: *authorities, MaxLifetime: lifetime, CheckedPolicy: policy,
		Digest: digestOf(c.settings(p, written), authorities.Digest[:]),
	}
}

func (c *checker) staticToken(p *field.Path, written *StaticToken) *CheckedStaticToken {
	policy := c.policy(p, written.MechanismPolicy)
	at := p.Child("file")
	data, path := c.read(at, written.File, maxTokenBytes)
	if data == nil {
		return nil
	}
	if strings.TrimSpace(string(data)) == "" {
		c.invalid(at, written.File, "%s holds no tokens; remove authentication.staticToken if nobody shall come in by one", path)
	}
	c.warnReadable(at, path)
	return &CheckedStaticToken{
		File: path, Content: data, AllowClearText: written.AllowClearText, CheckedPolicy: policy,
		Digest: digestOf(c.settings(p, written), data),
	}
}

// The group and kind of Kubernetes' own configuration of JWT issuers (CFG-1).
const (
	authenticationConfigurationGroup = "apiserver.config.k8s.io/"
	authenticationConfigurationKind  = "AuthenticationConfiguration"
	maxAuthenticationConfiguration   = 4 << 20
)

// authenticationConfiguration is what is judged here of an AuthenticationConfiguration; the mechanism reads the whole.
type authenticationConfiguration struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Anonymous  *struct {
		Enabled bool `json:"enabled"`
	} `json:"anonymous"`
}

func (c *checker) jwt(p *field.Path, authentication *Authentication) *CheckedJWT {
	written := authentication.JWT
	checked := &CheckedJWT{MaxLifetime: c.maxLifetime(p, written.MaxLifetime, written.Profile), CheckedPolicy: c.policy(p, written.MechanismPolicy)}
	at := p.Child("configuration")
	switch {
	case written.File != "" && written.Configuration != nil:
		c.forbidden(p, "file and configuration exclude each other; remove one")
		return nil
	case written.Configuration != nil:
		checked.Content = written.Configuration.JSON()
	case written.File != "":
		at = p.Child("file")
		if checked.Content, checked.File = c.read(at, written.File, maxAuthenticationConfiguration); checked.Content == nil {
			return nil
		}
	default:
		c.required(p, "name a file with an AuthenticationConfiguration, or write one in place under configuration")
		return nil
	}
	c.authenticationConfiguration(at, written.File, checked, authentication.Anonymous)
	checked.Digest = digestOf(c.settings(p, written), checked.Content)
	return checked
}

// authenticationConfiguration checks group and kind, and that anonymous access is not configured twice: its anonymous
// section counts as authentication.anonymous does.
func (c *checker) authenticationConfiguration(p *field.Path, name string, checked *CheckedJWT, anonymous *Anonymous) {
	var value any = field.OmitValueType{}
	where := ""
	if name != "" {
		value, where = name, checked.File+" "
	}
	if _, err := singleDocument(checked.Content); err != nil {
		c.invalid(p, value, "%s%s", where, err)
		return
	}
	if _, err := yaml.YAMLToJSONStrict(checked.Content); err != nil {
		c.invalid(p, value, "%sis not strict YAML: %s", where, yamlText(err))
		return
	}
	var parsed authenticationConfiguration
	if err := yaml.Unmarshal(checked.Content, &parsed); err != nil {
		c.invalid(p, value, "%sis not an AuthenticationConfiguration: %s", where, err)
		return
	}
	if !strings.HasPrefix(parsed.APIVersion, authenticationConfigurationGroup) || parsed.Kind != authenticationConfigurationKind {
		c.invalid(p, value, "%sis %q of %q; it must be kind %s of apiVersion %sv1",
			where, parsed.Kind, parsed.APIVersion, authenticationConfigurationKind, authenticationConfigurationGroup)
		return
	}
	if parsed.Anonymous == nil {
		return
	}
	c.anonymousByFile = parsed.Anonymous.Enabled
	if anonymous != nil {
		c.invalid(p, value, "%shas an anonymous section, and there is authentication.anonymous too; keep one of the two", where)
	}
}

func (c *checker) anonymous(p *field.Path, written *Anonymous) *CheckedAnonymous {
	at := p.Child("paths")
	c.names(at, written.Paths, "a path")
	for i, path := range written.Paths {
		switch {
		case path == "":
		case path[0] != '/':
			c.invalid(at.Index(i), path, "must start with \"/\"")
		case strings.HasSuffix(path, "*"):
			c.invalid(at.Index(i), path, "paths are compared exactly and \"*\" has no meaning (ANON-4); list each path")
		case strings.ContainsAny(path, "?#"):
			c.invalid(at.Index(i), path, "must be a path only; query and fragment are not compared (ANON-4)")
		}
	}
	return &CheckedAnonymous{
		Paths: written.Paths, AllowedNetworks: c.networks(p.Child("allowedNetworks"), written.AllowedNetworks),
		Digest: digestOf(c.settings(p, written)),
	}
}

func (c *checker) policy(p *field.Path, written MechanismPolicy) CheckedPolicy {
	kubernetes := c.profile(p, written)
	at := p.Child("allowedSystemNames")
	c.names(at, written.AllowedSystemNames, "a name")
	for i, name := range written.AllowedSystemNames {
		if name != "" && !strings.HasPrefix(name, identity.ReservedPrefix) {
			c.invalid(at.Index(i), name, "must start with %q; all other names are accepted without being listed", identity.ReservedPrefix)
		}
		c.pattern(at.Index(i), name)
	}
	return CheckedPolicy{
		Kubernetes:         kubernetes,
		AllowedNetworks:    c.networks(p.Child("allowedNetworks"), written.AllowedNetworks),
		AllowedSystemNames: written.AllowedSystemNames,
	}
}

// The profiles of a mechanism.
const (
	profileHardened   = "hardened"
	profileKubernetes = "kubernetes"
)

// profile reports whether the mechanism shall do as kube-apiserver does.
func (c *checker) profile(p *field.Path, written MechanismPolicy) (kubernetes bool) {
	switch written.Profile {
	case "", profileHardened:
		return false
	case profileKubernetes:
		if len(written.AllowedSystemNames) > 0 {
			c.excludedByProfile(p.Child("allowedSystemNames"))
		}
		if len(written.AllowedNetworks) > 0 {
			c.excludedByProfile(p.Child("allowedNetworks"))
		}
		return true
	default:
		c.errs = append(c.errs, field.NotSupported(p.Child("profile"), written.Profile, []string{profileHardened, profileKubernetes}))
		return false
	}
}

// excludedByProfile refuses a field that hardens a mechanism whose profile says that it shall not be.
func (c *checker) excludedByProfile(p *field.Path) {
	c.forbidden(p, "profile %s turns the hardening of this mechanism off; remove one of the two", profileKubernetes)
}

// maxLifetime checks the longest lifetime of a mechanism's credentials.
func (c *checker) maxLifetime(p *field.Path, written Duration, profile string) time.Duration {
	at := p.Child("maxLifetime")
	c.durationInRange(at, written, minMaxLifetime, maxMaxLifetime)
	if written != 0 && profile == profileKubernetes {
		c.excludedByProfile(at)
	}
	return time.Duration(written)
}

// networks parses CIDRs. Only the canonical form is taken: one with host bits set may mean the host or its network.
func (c *checker) networks(p *field.Path, written []string) []netip.Prefix {
	var networks []netip.Prefix
	for i, text := range written {
		at := p.Index(i)
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
				c.invalid(at, text, "must be a network; for this one address write %s", netip.PrefixFrom(address, address.BitLen()))
				continue
			}
			c.invalid(at, text, `must be a network in CIDR form, for example "10.0.0.0/8" or "2001:db8::/32"`)
			continue
		}
		switch {
		case prefix.Addr().Is4In6():
			c.invalid(at, text, "IPv4 networks must be written as such; clients' addresses are compared in that form")
		case prefix != prefix.Masked():
			c.invalid(at, text, "has host bits set; for the network write %s, for the one address %s",
				prefix.Masked(), netip.PrefixFrom(prefix.Addr(), prefix.Addr().BitLen()))
		case slices.Contains(networks, prefix):
			c.duplicate(at, text, "remove it")
		default:
			networks = append(networks, prefix)
		}
	}
	return networks
}

// names checks a list of names: none empty, none twice, nothing that a header or a log line could not carry.
func (c *checker) names(p *field.Path, names []string, what string) {
	for i, name := range names {
		c.name(p.Index(i), name, what)
		if name != "" && slices.Contains(names[:i], name) {
			c.duplicate(p.Index(i), name, "remove it")
		}
	}
}

// name checks one name. Control characters and blanks at the ends cannot go through a header unchanged (GW-4).
func (c *checker) name(p *field.Path, name, what string) {
	switch {
	case name == "":
		c.required(p, "must not be empty; write "+what+" or remove it")
	case strings.ContainsFunc(name, unicode.IsControl):
		c.invalid(p, name, "must not hold control characters")
	case strings.TrimSpace(name) != name:
		c.invalid(p, name, "must not start or end with a blank")
	}
}

// pattern checks that "*" stands at the end only.
func (c *checker) pattern(p *field.Path, pattern string) {
	if rest, _ := strings.CutSuffix(pattern, "*"); strings.Contains(rest, "*") {
		c.invalid(p, pattern, "\"*\" may stand at the end only, for any ending")
	}
}
