package collect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/facts"
)

// authenticationFile is Kubernetes' AuthenticationConfiguration (apiserver.config.k8s.io), of which v1alpha1, v1beta1
// and v1 agree in what is read here.
type authenticationFile struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Anonymous  *struct {
		Enabled    bool `json:"enabled"`
		Conditions []struct {
			Path string `json:"path"`
		} `json:"conditions"`
	} `json:"anonymous"`
	JWT []struct {
		Issuer struct {
			URL                  string   `json:"url"`
			DiscoveryURL         string   `json:"discoveryURL"`
			CertificateAuthority string   `json:"certificateAuthority"`
			Audiences            []string `json:"audiences"`
		} `json:"issuer"`
		ClaimValidationRules []struct {
			Claim         string `json:"claim"`
			RequiredValue string `json:"requiredValue"`
			Expression    string `json:"expression"`
		} `json:"claimValidationRules"`
		ClaimMappings struct {
			Username claimOrExpression `json:"username"`
			Groups   claimOrExpression `json:"groups"`
		} `json:"claimMappings"`
		UserValidationRules []struct {
			Expression string `json:"expression"`
		} `json:"userValidationRules"`
	} `json:"jwt"`
}

type claimOrExpression struct {
	Claim      string `json:"claim"`
	Prefix     string `json:"prefix"`
	Expression string `json:"expression"`
}

func (c claimOrExpression) describe() facts.Mapping {
	return facts.Mapping{Claim: c.Claim, Prefix: c.Prefix, Expression: c.Expression}
}

// AuthenticationConfiguration describes a file of that kind.
func AuthenticationConfiguration(data []byte) (*facts.AuthenticationConfiguration, error) {
	var parsed authenticationFile
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		return nil, fmt.Errorf("it is no AuthenticationConfiguration: %w", err)
	}
	if parsed.Kind != "AuthenticationConfiguration" || !strings.HasPrefix(parsed.APIVersion, "apiserver.config.k8s.io/") {
		return nil, fmt.Errorf("it is %q of %q, not an AuthenticationConfiguration of apiserver.config.k8s.io", parsed.Kind, parsed.APIVersion)
	}
	sum := sha256.Sum256(data)
	described := &facts.AuthenticationConfiguration{APIVersion: parsed.APIVersion, SHA256: hex.EncodeToString(sum[:])}
	if section := parsed.Anonymous; section != nil {
		described.Anonymous = &facts.AnonymousSection{Enabled: section.Enabled}
		for _, condition := range section.Conditions {
			described.Anonymous.Paths = append(described.Anonymous.Paths, condition.Path)
		}
	}
	for i := range parsed.JWT {
		from := &parsed.JWT[i]
		issuer := facts.Issuer{
			URL: from.Issuer.URL, DiscoveryURL: from.Issuer.DiscoveryURL, Audiences: from.Issuer.Audiences, OwnCA: from.Issuer.CertificateAuthority != "",
			Username: from.ClaimMappings.Username.describe(), Groups: from.ClaimMappings.Groups.describe(),
		}
		if issuer.OwnCA {
			issuer.CAs, _ = Certificates([]byte(from.Issuer.CertificateAuthority)) // one that is none is no CA: the server does not start with it
		}
		for _, rule := range from.ClaimValidationRules {
			if rule.Expression != "" {
				issuer.ClaimRules = append(issuer.ClaimRules, rule.Expression)
				continue
			}
			if issuer.RequiredClaims == nil {
				issuer.RequiredClaims = map[string]string{}
			}
			issuer.RequiredClaims[rule.Claim] = rule.RequiredValue
		}
		for _, rule := range from.UserValidationRules {
			issuer.UserRules = append(issuer.UserRules, rule.Expression)
		}
		described.Issuers = append(described.Issuers, issuer)
	}
	return described, nil
}
