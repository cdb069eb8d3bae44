package identity

// Mechanism says how a caller proved who it is. The zero value is no mechanism.
type Mechanism string

// The eight mechanisms of Kubernetes, and anonymous. The spelling is the one of configuration, logs and metrics.
const (
	ProxyHeader       Mechanism = "proxyHeader"
	ClientCertificate Mechanism = "clientCertificate"
	StaticToken       Mechanism = "staticToken"
	ServiceAccount    Mechanism = "serviceAccountSecret"
	TokenRequest      Mechanism = "tokenRequest"
	BootstrapToken    Mechanism = "bootstrapToken"
	JWT               Mechanism = "jwt"
	Webhook           Mechanism = "webhook"
	AnonymousAccess   Mechanism = "anonymous"
)

// Mechanisms lists all that exist, in the order in which they are asked.
func Mechanisms() []Mechanism {
	return []Mechanism{
		ProxyHeader, ClientCertificate, StaticToken, ServiceAccount, TokenRequest, BootstrapToken, JWT, Webhook, AnonymousAccess,
	}
}
