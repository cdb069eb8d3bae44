package fromapiserver

import (
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/identity"
)

// everySystemName keeps what kube-apiserver does: it takes names that start with "system:" from any credential.
const everySystemName = identity.ReservedPrefix + "*"

const systemNamesComment = `kube-apiserver lets these credentials carry any name that starts with "system:", system:masters included.
%s`

func (c *converter) policy(path, advice string) config.MechanismPolicy {
	c.comment(path+".allowedSystemNames", systemNamesComment, advice)
	return config.MechanismPolicy{AllowedSystemNames: []string{everySystemName}}
}

func (c *converter) authentication() error {
	f := c.flags
	written := &c.written.Authentication
	c.comment("authentication", `G-01: enable as few mechanisms as possible; remove those that nobody uses.
G-20: allowedNetworks, in each of them, names the networks from which its credentials are accepted; none is named here.
G-11, G-21: groupRules change what groups a credential brings, at once and for every mechanism; there are none yet.`)
	if written.Audiences = f.audiences(); len(written.Audiences) > 0 {
		c.comment("authentication.audiences", "--api-audiences, or else --service-account-issuer (AUD-1).")
	}
	if f.clientCAFile != "" {
		c.comment("authentication.clientCertificate", `--client-ca-file.
G-06: maxLifetime: 24h would refuse certificates that live longer; kube-apiserver has no bound, and no way to revoke one.
G-07: caFiles may list several CAs; taking one out distrusts it at once.`)
		written.ClientCertificate = &config.ClientCertificate{
			CAFiles: []string{c.file("client-ca-file", f.clientCAFile)},
			MechanismPolicy: c.policy("authentication.clientCertificate",
				"Name those that come through Ostiary (for kubelets: \"system:node:*\" and \"system:nodes\"), or remove the list."),
		}
	}
	if f.tokenAuthFile != "" {
		c.comment("authentication.staticToken", `--token-auth-file.
G-04: people should come from an external source such as OpenID Connect. G-13: changes of the file apply within a second.`)
		c.comment("authentication.staticToken.allowClearText", `G-12: "ostiary config hash-tokens" replaces the tokens in the file by hashes; then remove this line.`)
		written.StaticToken = &config.StaticToken{
			File: c.file("token-auth-file", f.tokenAuthFile), AllowClearText: true,
			MechanismPolicy: c.policy("authentication.staticToken", "Remove the list unless the token file holds such names."),
		}
	}
	decided, err := c.jwt(written)
	if err != nil {
		return err
	}
	if !decided {
		c.anonymous(written)
	}
	if written.ClientCertificate == nil && written.StaticToken == nil && written.JWT == nil && written.Anonymous == nil {
		return errors.New("these flags turn on no mechanism that is taken over (--client-ca-file, --token-auth-file, --authentication-config, --oidc-*, --anonymous-auth): nobody could come in")
	}
	return nil
}

// authenticationFile is what decides something here in the file of --authentication-config.
type authenticationFile struct {
	Anonymous *struct{} `json:"anonymous"`
}

// jwt takes over the issuers. It reports whether their file decides on anonymous access as well; if not, flags do.
func (c *converter) jwt(written *config.Authentication) (decided bool, err error) {
	f := c.flags
	const lifetime = "G-27: maxLifetime: 1h would refuse tokens that live longer; kube-apiserver has no bound."
	advice := "Remove the list: an identity provider has no business with such names."
	switch {
	case f.authenticationConfig != "":
		name := c.file("authentication-config", f.authenticationConfig)
		c.comment("authentication.jwt", "--authentication-config, used as it is.\n%s", lifetime)
		written.JWT = &config.JWT{File: name, MechanismPolicy: c.policy("authentication.jwt", advice)}
		return c.anonymousInFile(name)
	case f.oidcIssuerURL != "":
		object, err := config.NewRawObject(c.issuer())
		if err != nil {
			return false, err
		}
		c.comment("authentication.jwt", "The --oidc-* flags, in Kubernetes' newer form.\n%s", lifetime)
		c.comment("authentication.jwt.configuration", `Signature algorithms cannot be narrowed in this form: all nine that Kubernetes knows are accepted (CFG-1), instead of
--oidc-signing-algs (%q). Only keys that the issuer publishes verify a token, whatever its algorithm.`, strings.Join(f.oidcSigningAlgs, ","))
		written.JWT = &config.JWT{Configuration: object, MechanismPolicy: c.policy("authentication.jwt", advice)}
	}
	return false, nil
}

// anonymousInFile reports whether the file has an anonymous section, which Ostiary goes by as kube-apiserver does.
func (c *converter) anonymousInFile(name string) (decided bool, err error) {
	data, err := c.readFile(name)
	if err != nil {
		if c.flags.set.Changed("anonymous-auth") {
			return false, nil // kube-apiserver refuses flag and section together, so there is no section
		}
		c.warn("%q cannot be read here (%s): if it has no anonymous section, kube-apiserver lets anonymous callers in and Ostiary will not, unless you write authentication.anonymous: {}", name, err)
		return true, nil
	}
	var parsed authenticationFile
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		return false, fmt.Errorf("--authentication-config=%q is not an AuthenticationConfiguration: %w", name, err)
	}
	if parsed.Anonymous == nil {
		return false, nil
	}
	if c.flags.set.Changed("anonymous-auth") {
		return false, fmt.Errorf("--anonymous-auth and the anonymous section of %q exclude each other; kube-apiserver refuses them together (ANON-3)", name)
	}
	c.comment("authentication.jwt.file", `G-01: its anonymous section decides who comes in without a credential, here as at the API server; turn it off there, or
name only the paths that probes need.`)
	return true, nil
}

func (c *converter) anonymous(written *config.Authentication) {
	on, forcedOff := c.flags.anonymous()
	if forcedOff {
		c.warn("anonymous access is left off: kube-apiserver turns it off where --authorization-mode is, or defaults to, AlwaysAllow (ANON-2)")
	}
	if !on {
		return
	}
	written.Anonymous = &config.Anonymous{}
	c.comment("authentication.anonymous", `--anonymous-auth, which is on by default.
G-01: remove it, or let it ask only for what probes need: paths: [/healthz, /livez, /readyz, /version]`)
}

// The AuthenticationConfiguration that kube-apiserver itself makes of the --oidc-* flags (kubeapiserver/options,
// ToAuthenticationConfig), in its version v1.
type authenticationConfiguration struct {
	APIVersion string      `json:"apiVersion"`
	Kind       string      `json:"kind"`
	JWT        []jwtIssuer `json:"jwt"`
}

type jwtIssuer struct {
	Issuer struct {
		URL                  string   `json:"url"`
		CertificateAuthority string   `json:"certificateAuthority,omitempty"`
		Audiences            []string `json:"audiences"`
	} `json:"issuer"`
	ClaimValidationRules []requiredClaim `json:"claimValidationRules,omitempty"`
	ClaimMappings        struct {
		Username prefixedClaim  `json:"username"`
		Groups   *prefixedClaim `json:"groups,omitempty"`
	} `json:"claimMappings"`
}

type requiredClaim struct {
	Claim         string `json:"claim"`
	RequiredValue string `json:"requiredValue"`
}

type prefixedClaim struct {
	Claim  string `json:"claim"`
	Prefix string `json:"prefix"`
}

func (c *converter) issuer() authenticationConfiguration {
	f := c.flags
	var issuer jwtIssuer
	issuer.Issuer.URL = f.oidcIssuerURL
	issuer.Issuer.Audiences = []string{f.oidcClientID}
	issuer.Issuer.CertificateAuthority = c.issuerAuthority()
	issuer.ClaimMappings.Username = prefixedClaim{Claim: f.oidcUsernameClaim, Prefix: f.usernamePrefix()}
	if f.oidcGroupsClaim != "" {
		issuer.ClaimMappings.Groups = &prefixedClaim{Claim: f.oidcGroupsClaim, Prefix: f.oidcGroupsPrefix}
	}
	for claim, value := range f.oidcRequiredClaims {
		issuer.ClaimValidationRules = append(issuer.ClaimValidationRules, requiredClaim{Claim: claim, RequiredValue: value})
	}
	slices.SortFunc(issuer.ClaimValidationRules, func(a, b requiredClaim) int { return strings.Compare(a.Claim, b.Claim) })
	return authenticationConfiguration{
		APIVersion: "apiserver.config.k8s.io/v1", Kind: "AuthenticationConfiguration", JWT: []jwtIssuer{issuer},
	}
}

// usernamePrefix is Kubernetes' own rule: an empty flag means the issuer, unless the claim is the e-mail address, and
// "-" means none (kubeapiserver/options, ToAuthenticationConfig).
func (f *flags) usernamePrefix() string {
	switch {
	case f.oidcUsernamePrefix == "-":
		return ""
	case f.oidcUsernamePrefix == "" && f.oidcUsernameClaim != "email":
		return f.oidcIssuerURL + "#"
	default:
		return f.oidcUsernamePrefix
	}
}

// issuerAuthority returns the content of --oidc-ca-file, as this form holds no file name. Where it cannot be read, a
// text that is no certificate stands in: leaving it out would trust every CA of the host instead of one.
func (c *converter) issuerAuthority() string {
	name := c.flags.oidcCAFile
	if name == "" {
		return ""
	}
	const at = "authentication.jwt.configuration.jwt[0].issuer.certificateAuthority"
	host := c.file("oidc-ca-file", name)
	data, err := c.readFile(host)
	if err == nil && len(c.certificates(host)) > 0 {
		c.comment(at, "The content of --oidc-ca-file=%q.", name)
		return certificatesOnly(data)
	}
	if err == nil {
		err = errors.New("it holds no certificate")
	}
	c.comment(at, "REPLACE THIS by the content of the file; Ostiary does not start without it.")
	c.warn("--oidc-ca-file=%q cannot be taken over (%s): put its content in place of authentication.jwt.configuration.jwt[0].issuer.certificateAuthority", name, err)
	return "content of " + name
}

// certificatesOnly leaves out comments between certificates, which may hold anything.
func certificatesOnly(data []byte) string {
	var kept strings.Builder
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			kept.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
		}
	}
	return kept.String()
}
