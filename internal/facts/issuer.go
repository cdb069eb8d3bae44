package facts

import "strings"

// Issuers are the OpenID Connect providers that are trusted. The second result is false where a file names them that was
// not read.
func (s *APIServer) Issuers() (issuers []Issuer, known bool) {
	if s.Flags.Text("authentication-config", "") != "" {
		if s.Authentication == nil {
			return nil, false
		}
		return s.Authentication.Issuers, true
	}
	if issuer, ok := s.flagIssuer(); ok {
		return []Issuer{issuer}, true
	}
	return nil, true
}

// flagIssuer is the provider of the --oidc-* flags; the second result is false where there is none. Defaults are
// kube-apiserver's (kubeapiserver/options, ToAuthenticationConfig).
func (s *APIServer) flagIssuer() (Issuer, bool) {
	flags := s.Flags
	url := flags.Text("oidc-issuer-url", "")
	if url == "" {
		return Issuer{}, false
	}
	issuer := Issuer{
		URL: url, Audiences: []string{flags.Text("oidc-client-id", "")}, OwnCA: flags.Text("oidc-ca-file", "") != "", CAs: s.OIDCCAs,
		Username: Mapping{Claim: flags.Text("oidc-username-claim", "sub")},
		Groups:   Mapping{Claim: flags.Text("oidc-groups-claim", ""), Prefix: flags.Text("oidc-groups-prefix", "")},
	}
	switch prefix := flags.Text("oidc-username-prefix", ""); {
	case prefix == "-":
	case prefix == "" && issuer.Username.Claim != "email":
		issuer.Username.Prefix = url + "#"
	default:
		issuer.Username.Prefix = prefix
	}
	if issuer.Groups.Claim == "" {
		issuer.Groups = Mapping{}
	}
	for _, pair := range flags["oidc-required-claim"] {
		claim, value, _ := strings.Cut(pair, "=")
		if issuer.RequiredClaims == nil {
			issuer.RequiredClaims = map[string]string{}
		}
		issuer.RequiredClaims[claim] = value
	}
	return issuer, true
}
