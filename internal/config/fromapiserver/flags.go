package fromapiserver

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/ostiary/ostiary/internal/apiserverflags"
)

// flags are kube-apiserver's flags that decide who comes in, and those that say where it is. Their names, types and
// defaults are those of kubernetes/pkg/kubeapiserver/options and k8s.io/apiserver/pkg/server/options.
type flags struct {
	set *pflag.FlagSet

	clientCAFile         string
	tokenAuthFile        string
	authenticationConfig string
	anonymousAuth        bool
	apiAudiences         []string
	authorizationModes   []string
	authorizationConfig  string

	oidcIssuerURL, oidcClientID, oidcCAFile string
	oidcUsernameClaim, oidcUsernamePrefix   string
	oidcGroupsClaim, oidcGroupsPrefix       string
	oidcSigningAlgs                         []string
	oidcRequiredClaims                      map[string]string

	requestHeaderCAFile                   string
	requestHeaderNames                    []string
	userHeaders, uidHeaders, groupHeaders []string
	extraHeaderPrefixes                   []string
	proxyClientCertFile                   string
	proxyClientKeyFile                    string

	serviceAccountIssuers []string
	bootstrapTokens       bool
	webhookConfigFile     string

	advertiseAddress, bindAddress string
	securePort                    int
	tlsCertFile, tlsPrivateKey    string
	certDir                       string
	sniCertificates               []string
}

const (
	defaultSecurePort    = 6443
	defaultCertDir       = "/var/run/kubernetes"
	defaultUsernameClaim = "sub"
	defaultSigningAlg    = "RS256"
)

func newFlags() *flags {
	set := pflag.NewFlagSet(apiserverflags.Program, pflag.ContinueOnError)
	set.SetOutput(io.Discard) // what is wrong is returned
	set.Usage = func() {}
	set.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	set.ParseErrorsAllowlist.UnknownFlags = true // most of kube-apiserver's flags are about other things
	f := &flags{set: set}

	set.StringVar(&f.clientCAFile, "client-ca-file", "", "")
	set.StringVar(&f.tokenAuthFile, "token-auth-file", "", "")
	set.StringVar(&f.authenticationConfig, "authentication-config", "", "")
	set.BoolVar(&f.anonymousAuth, "anonymous-auth", true, "")
	set.StringSliceVar(&f.apiAudiences, "api-audiences", nil, "")
	set.StringSliceVar(&f.authorizationModes, "authorization-mode", nil, "")
	set.StringVar(&f.authorizationConfig, "authorization-config", "", "")

	set.StringVar(&f.oidcIssuerURL, "oidc-issuer-url", "", "")
	set.StringVar(&f.oidcClientID, "oidc-client-id", "", "")
	set.StringVar(&f.oidcCAFile, "oidc-ca-file", "", "")
	set.StringVar(&f.oidcUsernameClaim, "oidc-username-claim", defaultUsernameClaim, "")
	set.StringVar(&f.oidcUsernamePrefix, "oidc-username-prefix", "", "")
	set.StringVar(&f.oidcGroupsClaim, "oidc-groups-claim", "", "")
	set.StringVar(&f.oidcGroupsPrefix, "oidc-groups-prefix", "", "")
	set.StringSliceVar(&f.oidcSigningAlgs, "oidc-signing-algs", []string{defaultSigningAlg}, "")
	set.Var(cliflag.NewMapStringStringNoSplit(&f.oidcRequiredClaims), "oidc-required-claim", "")

	set.StringVar(&f.requestHeaderCAFile, "requestheader-client-ca-file", "", "")
	set.StringSliceVar(&f.requestHeaderNames, "requestheader-allowed-names", nil, "")
	set.StringSliceVar(&f.userHeaders, "requestheader-username-headers", nil, "")
	set.StringSliceVar(&f.uidHeaders, "requestheader-uid-headers", nil, "")
	set.StringSliceVar(&f.groupHeaders, "requestheader-group-headers", nil, "")
	set.StringSliceVar(&f.extraHeaderPrefixes, "requestheader-extra-headers-prefix", nil, "")
	set.StringVar(&f.proxyClientCertFile, "proxy-client-cert-file", "", "")
	set.StringVar(&f.proxyClientKeyFile, "proxy-client-key-file", "", "")

	set.StringArrayVar(&f.serviceAccountIssuers, "service-account-issuer", nil, "")
	set.BoolVar(&f.bootstrapTokens, "enable-bootstrap-token-auth", false, "")
	set.StringVar(&f.webhookConfigFile, "authentication-token-webhook-config-file", "", "")

	set.StringVar(&f.advertiseAddress, "advertise-address", "", "")
	set.StringVar(&f.bindAddress, "bind-address", "", "")
	set.IntVar(&f.securePort, "secure-port", defaultSecurePort, "")
	set.StringVar(&f.tlsCertFile, "tls-cert-file", "", "")
	set.StringVar(&f.tlsPrivateKey, "tls-private-key-file", "", "")
	set.StringVar(&f.certDir, "cert-dir", defaultCertDir, "")
	set.StringArrayVar(&f.sniCertificates, "tls-sni-cert-key", nil, "")

	// Known, and without a meaning for who comes in: named here so that a slip of the pen in a name that looks like
	// theirs is noticed.
	for _, name := range []string{
		"authentication-token-webhook-cache-ttl", "authentication-token-webhook-version",
		"service-account-key-file", "service-account-signing-key-file", "service-account-jwks-uri", "service-account-lookup",
		"service-account-max-token-expiration", "service-account-extend-token-expiration", "service-account-signing-endpoint",
	} {
		set.StringArray(name, nil, "")
		if flag := set.Lookup(name); strings.HasSuffix(name, "-lookup") || strings.HasSuffix(name, "-extend-token-expiration") {
			flag.NoOptDefVal = "true"
		}
	}
	return f
}

// isDecisive goes by the beginnings of the names of all flags that decide who comes in.
func isDecisive(name string) bool {
	return slices.ContainsFunc([]string{
		"anonymous", "api-audience", "authentication", "client-ca", "oidc", "proxy-client", "requestheader",
		"service-account", "token-auth", "enable-bootstrap",
	}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// The variables that a kubelet or a shell puts in place of their names.
var (
	kubeletVariable = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_.-]*\)`)
	shellVariable   = regexp.MustCompile("\\$[A-Za-z_{(]|`")
)

// parse reads the source's flags. The error names every flag that cannot be understood.
func parse(s *apiserverflags.Source) (*flags, []string, error) {
	f := newFlags()
	var problems []error
	for _, arg := range s.Args {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		name = strings.ReplaceAll(name, "_", "-")
		if strings.HasPrefix(arg, "--") && isDecisive(name) && f.set.Lookup(name) == nil {
			problems = append(problems, fmt.Errorf("--%s is not a flag of kube-apiserver that decides who comes in, though it looks like one; correct it, or remove it", name))
		}
	}
	if err := f.set.Parse(s.Args); err != nil {
		return nil, nil, errors.Join(append(problems, fmt.Errorf("reading the flags as kube-apiserver would: %w", err))...)
	}
	if f.set.NArg() > 0 {
		problems = append(problems, fmt.Errorf("%q is not a flag; write --name=value, and put values with blanks in quotes", f.set.Arg(0)))
	}
	warnings, variableProblems := f.variables(s.Shell)
	problems = append(problems, variableProblems...)
	problems = append(problems, f.validate()...)
	return f, warnings, errors.Join(problems...)
}

// variables refuses flags whose value is only known where the API server runs. Where it is found is no secret and has a
// stand-in, so that case is a warning.
func (f *flags) variables(shell bool) (warnings []string, problems []error) {
	pattern := kubeletVariable
	if shell {
		pattern = shellVariable
	}
	f.set.Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		if !pattern.MatchString(value) {
			return
		}
		switch flag.Name {
		case "advertise-address":
			f.advertiseAddress = ""
			warnings = append(warnings, fmt.Sprintf("--advertise-address=%s holds a variable that is only known where the API server runs: correct clusters[0].server", value))
		case "bind-address":
			f.bindAddress = ""
		default:
			problems = append(problems, fmt.Errorf("--%s=%s holds a variable that is only known where the API server runs; put its value in its place", flag.Name, value))
		}
	})
	return warnings, problems
}

// validate refuses what kube-apiserver itself would refuse to start with, as far as it concerns the result.
func (f *flags) validate() []error {
	var problems []error
	refuse := func(text string) { problems = append(problems, errors.New(text)) }
	oidc := false
	f.set.Visit(func(flag *pflag.Flag) { oidc = oidc || strings.HasPrefix(flag.Name, "oidc-") })
	if oidc && f.authenticationConfig != "" {
		refuse("--authentication-config and --oidc-* flags exclude each other; kube-apiserver refuses them together")
	} else if oidc && (f.oidcIssuerURL == "" || f.oidcClientID == "") {
		refuse("--oidc-* flags need both --oidc-issuer-url and --oidc-client-id")
	}
	for name, address := range map[string]string{"advertise-address": f.advertiseAddress, "bind-address": f.bindAddress} {
		if address == "" {
			continue
		}
		if parsed, err := netip.ParseAddr(address); err != nil || parsed.Zone() != "" {
			refuse(fmt.Sprintf("--%s=%q must be an IP address", name, address))
		}
	}
	if f.securePort < 1 || f.securePort > 65535 {
		refuse("--secure-port must be from 1 to 65535")
	}
	if (f.tlsCertFile == "") != (f.tlsPrivateKey == "") {
		refuse("--tls-cert-file and --tls-private-key-file go together; one is missing")
	}
	if (f.proxyClientCertFile == "") != (f.proxyClientKeyFile == "") {
		refuse("--proxy-client-cert-file and --proxy-client-key-file go together; one is missing")
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

// anonymous reports whether the flags let callers in without a credential (ANON-2), and why not if they would without
// an authorization mode that forbids it.
func (f *flags) anonymous() (on, forcedOff bool) {
	modes := f.authorizationModes
	if len(modes) == 0 && f.authorizationConfig == "" {
		modes = []string{"AlwaysAllow"} // kube-apiserver's own default
	}
	forcedOff = f.anonymousAuth && slices.Contains(modes, "AlwaysAllow")
	return f.anonymousAuth && !forcedOff, forcedOff
}

// audiences are the API audiences (AUD-1).
func (f *flags) audiences() []string {
	if len(f.apiAudiences) > 0 {
		return f.apiAudiences
	}
	return f.serviceAccountIssuers
}
