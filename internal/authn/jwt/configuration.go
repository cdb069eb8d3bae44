package jwt

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// Configuration is a checked AuthenticationConfiguration.
type Configuration struct {
	issuers []apiserver.JWTAuthenticator
	// Anonymous is the file's section of that name; nil when it has none.
	Anonymous *Anonymous
}

// Anonymous is the anonymous section of an AuthenticationConfiguration (ANON-3).
type Anonymous struct {
	Enabled bool
	// Paths are the decoded URL paths it is restricted to; empty means all.
	Paths []string
}

// Parse decodes and validates an AuthenticationConfiguration of any served version, strictly, with Kubernetes' own
// decoder and validation (CFG-1 to CFG-9). All mistakes are reported at once.
func Parse(data []byte) (*Configuration, error) {
	if len(data) == 0 {
		return nil, errors.New("the AuthenticationConfiguration is empty")
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		return nil, fmt.Errorf("decoding the AuthenticationConfiguration: %w", err)
	}
	decoded, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok || decoded == nil {
		return nil, fmt.Errorf("expected an AuthenticationConfiguration, found %T", object)
	}
	mistakes := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), decoded, nil)
	for i, issuer := range decoded.JWT {
		if issuer.Issuer.EgressSelectorType != "" {
			mistakes = append(mistakes, field.Forbidden(
				field.NewPath("jwt").Index(i).Child("issuer", "egressSelectorType"),
				"egress selectors belong to kube-apiserver; the gate connects to issuers directly"))
		}
	}
	if err := mistakes.ToAggregate(); err != nil {
		return nil, fmt.Errorf("the AuthenticationConfiguration is invalid: %w", err)
	}
	configuration := &Configuration{issuers: decoded.JWT}
	if decoded.Anonymous != nil {
		configuration.Anonymous = &Anonymous{Enabled: decoded.Anonymous.Enabled}
		for _, condition := range decoded.Anonymous.Conditions {
			configuration.Anonymous.Paths = append(configuration.Anonymous.Paths, condition.Path)
		}
	}
	return configuration, nil
}
