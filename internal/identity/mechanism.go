package identity

// Mechanism says how a caller proved who it is. The zero value is no mechanism.
type Mechanism string

// The eight mechanisms of Kubernetes, the credentials that Ostiary issues itself, and anonymous. The spelling is the one of
// configuration, logs and metrics.
const (
	ProxyHeader       Mechanism = "proxyHeader"
	IssuedCertificate Mechanism = "issuedCertificate"
	ClientCertificate Mechanism = "clientCertificate"
	IssuedToken       Mechanism = "issuedToken"
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
		ProxyHeader, IssuedCertificate, ClientCertificate, IssuedToken, StaticToken, ServiceAccount, TokenRequest, BootstrapToken, JWT, Webhook, AnonymousAccess,
	}
}
