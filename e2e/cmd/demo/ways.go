package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// way is one way to come in.
type way struct {
	name      string // of the kubeconfig
	title     string
	mechanism string
	// user and group are whom the API server sees.
	user, group string
	// may is the resource that can be listed, mayNot the command that is refused, why who refuses it.
	may    string
	mayNot []string
	why    string
	// good is the credential that lets in, bad the one that does not.
	good, bad kubectl.Access
	badTitle  string
}

// ways are the eight mechanisms in the order of the guide. Each begins its chapter.
func (s *story) ways() []func(context.Context, int) (way, error) {
	return []func(context.Context, int) (way, error){
		s.clientCertificate, s.staticTokens, s.bootstrap, s.secretToken, s.tokenRequest, s.openID, s.webhook, s.authenticatingProxy,
	}
}

// begin starts the chapter of a way, and returns the way with what most have in common: a person of the group whose
// rights are the API server's business.
func (s *story) begin(chapter int, mechanism, title string) way {
	s.heading(chapter, strings.ToUpper(title[:1])+title[1:])
	return way{
		name: mechanism, title: "by " + title, mechanism: mechanism, user: person, group: group,
		may: "namespaces", mayNot: []string{"get", "secrets", "--namespace=kube-system"}, why: "by the API server's own RBAC",
	}
}

func (s *story) clientCertificate(_ context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "clientCertificate", "client certificate")
	certificate, err := s.people.Issue(pki.Client(person, group))
	if err != nil {
		return w, err
	}
	// The attacker's authority bears the name of the right one, so that kubectl presents the certificate.
	attacker, err := pki.NewAuthority(peopleCA)
	if err != nil {
		return w, err
	}
	forged, err := attacker.Issue(pki.Client(person, "system:masters"))
	if err != nil {
		return w, err
	}
	w.good, w.bad = s.gate.Access().WithCertificate(certificate), s.gate.Access().WithCertificate(forged)
	w.badTitle = "A certificate that says system:masters, signed by an authority of the same name and another key"
	return w, nil
}

func (s *story) staticTokens(_ context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "staticToken", "static token")
	w.tokens(s, s.staticToken, s.staticToken[:len(s.staticToken)-1]+"!")
	w.badTitle = "The same token with its last character changed"
	return w, nil
}

func (s *story) bootstrap(ctx context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "bootstrapToken", "bootstrap token")
	token, err := s.makeBootstrapTokens(ctx)
	if err != nil {
		return w, err
	}
	id, _, _ := strings.Cut(token, ".")
	w.user, w.group, w.may = "system:bootstrap:"+id, "system:bootstrappers", "certificatesigningrequests"
	w.mayNot = []string{"get", "pods", "--all-namespaces"}
	w.why = "by Ostiary: a bootstrap token is for joining nodes, although RBAC here would let it see pods"
	w.tokens(s, token, sampleBootstrapToken)
	w.badTitle = "A token that is valid in the cluster, copied from the documentation (" + sampleBootstrapToken + ")"
	return w, nil
}

func (s *story) secretToken(ctx context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "serviceAccountSecret", "token of a ServiceAccount's Secret")
	token, err := s.secretOfRobot(ctx)
	if err != nil {
		return w, err
	}
	tampered, err := tamper(token, "kubernetes.io/serviceaccount/service-account.name", "default")
	w.robot()
	w.tokens(s, token, tampered)
	w.badTitle = "The same token with another account's name, its signature as it was"
	return w, err
}

func (s *story) tokenRequest(ctx context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "tokenRequest", "token that was requested for a ServiceAccount")
	w.robot()
	s.text("Jane requests a token for a year, through Ostiary:")
	k, err := s.kubectl("jane-requests", s.gate.Access().WithToken(s.staticToken))
	if err != nil {
		return w, err
	}
	result, err := k.Run(ctx, "create", "token", robotName, "--namespace="+robotNamespace, "--duration=8760h")
	if err != nil {
		return w, err
	}
	s.command("kubectl create token " + robotName + " --namespace=" + robotNamespace + " --duration=8760h")
	s.output(result.Stderr)
	token := strings.TrimSpace(result.Stdout)
	claims, err := claimsOf(token)
	if err != nil {
		return w, fmt.Errorf("%w\n%s", err, result)
	}
	issued, _ := claims["iat"].(float64)
	expires, _ := claims["exp"].(float64)
	lifetime := time.Duration(expires-issued) * time.Second
	s.check(lifetime == longestToken && strings.Contains(result.Stderr, "Warning"), "the token is good for "+lifetime.String()+", and kubectl warns of it")
	tampered, err := tamper(token, "sub", "system:serviceaccount:kube-system:default")
	w.tokens(s, token, tampered)
	w.badTitle = "The same token with another account's name, its signature as it was"
	return w, err
}

func (s *story) openID(ctx context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "jwt", "ID token, after signing in at the OpenID Connect provider")
	token, err := s.provider.Login(ctx, person, s.password)
	if err != nil {
		return w, err
	}
	tampered, err := tamper(token, "groups", []string{"system:masters"})
	w.tokens(s, token, tampered)
	w.badTitle = "The same ID token with its group changed to system:masters, its signature as it was"
	return w, err
}

func (s *story) webhook(_ context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "webhook", "token that a webhook knows")
	s.text("The webhook is the TokenReview API of a second API server, whose static tokens nobody else knows.")
	w.tokens(s, s.foreignToken, s.foreignToken[:len(s.foreignToken)-1]+"!")
	w.badTitle = "The same token with its last character changed"
	return w, nil
}

func (s *story) authenticatingProxy(ctx context.Context, chapter int) (way, error) {
	w := s.begin(chapter, "proxyHeader", "authenticating proxy")
	s.text("A portal that signed Jane in names her in headers, under a certificate of its own. kubectl talks to the portal.")
	good, err := s.startPortal(ctx, s.portals)
	if err != nil {
		return w, err
	}
	attacker, err := pki.NewAuthority(portalCA)
	if err != nil {
		return w, err
	}
	bad, err := s.startPortal(ctx, attacker)
	if err != nil {
		return w, err
	}
	w.good, w.bad = kubectl.Access{Server: good}, kubectl.Access{Server: bad}
	w.badTitle = "The same headers under a certificate of the same name, signed by another key"
	return w, nil
}

// tokens are the good and the bad credential of a mechanism that reads bearer tokens.
func (w *way) tokens(s *story, good, bad string) {
	w.good, w.bad = s.gate.Access().WithToken(good), s.gate.Access().WithToken(bad)
}

// robot is who comes in by a ServiceAccount's token.
func (w *way) robot() {
	w.user, w.group = "system:serviceaccount:"+robotNamespace+":"+robotName, "system:serviceaccounts:"+robotNamespace
}

// errNotJWT is a token that does not have the form of one.
var errNotJWT = errors.New("the token is no JWT")

// claimsOf reads a token's claims without verifying anything.
func claimsOf(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errNotJWT
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.Join(errNotJWT, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errors.Join(errNotJWT, err)
	}
	return claims, nil
}

// tamper changes one claim of a token and leaves the signature.
func tamper(token, claim string, value any) (string, error) {
	claims, err := claimsOf(token)
	if err != nil {
		return "", err
	}
	claims[claim] = value
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	parts := strings.Split(token, ".")
	return strings.Join(slices.Concat(parts[:1], []string{base64.RawURLEncoding.EncodeToString(payload)}, parts[2:]), "."), nil
}
