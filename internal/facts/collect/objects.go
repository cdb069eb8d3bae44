package collect

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/facts"
)

const (
	rbacPath = "/apis/rbac.authorization.k8s.io/v1/"
	// Labels and annotations of token Secrets (Kubernetes' own).
	lastUsedLabel     = "kubernetes.io/legacy-token-last-used"
	invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	day               = "2006-01-02"
)

// rbac reads roles and bindings. All four lists are needed for any judgement.
func (g *Gatherer) rbac(ctx context.Context, what *Live) {
	const needs = "list roles, clusterroles, rolebindings and clusterrolebindings"
	f := g.found
	clusterRoles, ok1 := listInto(ctx, g, what.API, facts.SourceRBAC, Question{Path: rbacPath + "clusterroles"}, needs, whole(func(o *rbacv1.ClusterRole) *metav1.ObjectMeta { return &o.ObjectMeta }))
	if !ok1 {
		return
	}
	clusterBindings, ok := listInto(ctx, g, what.API, facts.SourceRBAC, Question{Path: rbacPath + "clusterrolebindings"}, needs, whole(func(o *rbacv1.ClusterRoleBinding) *metav1.ObjectMeta { return &o.ObjectMeta }))
	if !ok {
		return
	}
	roles, ok := listInto(ctx, g, what.API, facts.SourceRBAC, Question{Path: rbacPath + "roles"}, needs, whole(func(o *rbacv1.Role) *metav1.ObjectMeta { return &o.ObjectMeta }))
	if !ok {
		return
	}
	bindings, ok := listInto(ctx, g, what.API, facts.SourceRBAC, Question{Path: rbacPath + "rolebindings"}, needs, whole(func(o *rbacv1.RoleBinding) *metav1.ObjectMeta { return &o.ObjectMeta }))
	if !ok {
		return
	}
	f.ClusterRoles, f.ClusterRoleBindings, f.Roles, f.RoleBindings = clusterRoles, clusterBindings, roles, bindings
	status := f.Status(facts.SourceRBAC)
	status.Count = len(clusterRoles) + len(clusterBindings) + len(roles) + len(bindings)
	f.Note(status)
}

// whole keeps an object but for what only weighs: managed fields, and annotations, which may repeat the object.
func whole[T any](meta func(*T) *metav1.ObjectMeta) func(*T) (T, bool) {
	return func(object *T) (T, bool) {
		m := meta(object)
		m.ManagedFields, m.Annotations, m.OwnerReferences = nil, nil, nil
		return *object, true
	}
}

func (g *Gatherer) namespaces(ctx context.Context, what *Live) {
	g.found.Namespaces, _ = listInto(ctx, g, what.API, facts.SourceNamespaces, Question{Path: "/api/v1/namespaces", Accept: metadataList}, "list namespaces",
		func(o *metav1.PartialObjectMetadata) (string, bool) { return o.Name, true })
}

func (g *Gatherer) nodes(ctx context.Context, what *Live) {
	g.found.Nodes, _ = listInto(ctx, g, what.API, facts.SourceNodes, Question{Path: "/api/v1/nodes"}, "list nodes",
		func(o *corev1.Node) (facts.Node, bool) {
			node := facts.Node{Name: o.Name, UID: string(o.UID), Created: o.CreationTimestamp.UTC(), PodRanges: o.Spec.PodCIDRs}
			_, node.ControlPlane = o.Labels[controlPlaneLabel]
			for _, address := range o.Status.Addresses {
				if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
					node.Addresses = append(node.Addresses, address.Address)
				}
			}
			return node, true
		})
}

func (g *Gatherer) accounts(ctx context.Context, what *Live) {
	g.found.ServiceAccounts, _ = listInto(ctx, g, what.API, facts.SourceServiceAccounts, Question{Path: "/api/v1/serviceaccounts"}, "list serviceaccounts",
		func(o *corev1.ServiceAccount) (facts.ServiceAccount, bool) {
			account := facts.ServiceAccount{
				Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), Created: o.CreationTimestamp.UTC(),
				NoAutomount: o.AutomountServiceAccountToken != nil && !*o.AutomountServiceAccountToken,
			}
			for _, secret := range o.Secrets {
				account.Secrets = append(account.Secrets, secret.Name)
			}
			return account, true
		})
}

func (g *Gatherer) tokenSecrets(ctx context.Context, what *Live) {
	g.found.TokenSecrets, _ = listInto(ctx, g, what.API, facts.SourceTokenSecrets, Question{
		Path: "/api/v1/secrets", Query: selector("fieldSelector", "type="+string(corev1.SecretTypeServiceAccountToken)), Accept: metadataList,
	}, "list secrets; only their metadata is asked for",
		func(o *metav1.PartialObjectMetadata) (facts.TokenSecret, bool) {
			return facts.TokenSecret{
				Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), Created: o.CreationTimestamp.UTC(),
				ServiceAccount: o.Annotations[corev1.ServiceAccountNameKey], AccountUID: o.Annotations[corev1.ServiceAccountUIDKey],
				LastUsed: dayOf(o.Labels[lastUsedLabel]), InvalidSince: dayOf(o.Labels[invalidSinceLabel]),
			}, true
		})
}

// dayOf reads a day; zero where there is none.
func dayOf(text string) time.Time {
	parsed, err := time.Parse(day, text)
	if err != nil {
		return time.Time{}
	}
	return parsed
}

func (g *Gatherer) bootstrapTokens(ctx context.Context, what *Live) {
	question := Question{Path: kubeSystem + "/secrets", Query: selector("fieldSelector", "type="+string(corev1.SecretTypeBootstrapToken))}
	if what.BootstrapValues {
		g.found.BootstrapTokens, _ = listInto(ctx, g, what.API, facts.SourceBootstrapTokens, question, "list secrets in kube-system",
			func(o *corev1.Secret) (facts.BootstrapToken, bool) { return g.bootstrapToken(o), true })
		return
	}
	question.Accept = metadataList
	var ok bool
	g.found.BootstrapTokens, ok = listInto(ctx, g, what.API, facts.SourceBootstrapTokens, question, "list secrets in kube-system",
		func(o *metav1.PartialObjectMetadata) (facts.BootstrapToken, bool) {
			return facts.BootstrapToken{Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), Created: o.CreationTimestamp.UTC()}, true
		})
	if ok && len(g.found.BootstrapTokens) > 0 {
		status := g.found.Status(facts.SourceBootstrapTokens)
		status.State, status.Detail, status.Needs = facts.Partial, "their values were not read", "--read-bootstrap-tokens"
		g.found.Note(status)
	}
}

// bootstrapToken judges a join token.
func (g *Gatherer) bootstrapToken(o *corev1.Secret) facts.BootstrapToken {
	text := func(key string) string { return string(o.Data[key]) }
	token := facts.BootstrapToken{
		Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), Created: o.CreationTimestamp.UTC(),
		ValuesRead: true, ID: text("token-id"), Description: text("description"),
	}
	if expires, err := time.Parse(time.RFC3339, text("expiration")); err == nil {
		token.Expires = expires.UTC()
	}
	for _, usage := range []string{"authentication", "signing"} {
		if text("usage-bootstrap-"+usage) == "true" {
			token.Usages = append(token.Usages, usage)
		}
	}
	for group := range strings.SplitSeq(text("auth-extra-groups"), ",") {
		if group != "" {
			token.ExtraGroups = append(token.ExtraGroups, group)
		}
	}
	token.Token = g.token(token.ID + "." + text("token-secret"))
	token.Secret = g.token(text("token-secret"))
	return token
}

func (g *Gatherer) certificateRequests(ctx context.Context, what *Live) {
	g.found.CertificateRequests, _ = listInto(ctx, g, what.API, facts.SourceCertificates,
		Question{Path: "/apis/certificates.k8s.io/v1/certificatesigningrequests"}, "list certificatesigningrequests", describeRequest)
}

func describeRequest(o *certificatesv1.CertificateSigningRequest) (facts.CertificateRequest, bool) {
	request := facts.CertificateRequest{
		Name: o.Name, UID: string(o.UID), Created: o.CreationTimestamp.UTC(), SignerName: o.Spec.SignerName,
		Username: o.Spec.Username, Groups: o.Spec.Groups,
	}
	if o.Spec.ExpirationSeconds != nil {
		request.ExpirationSeconds = *o.Spec.ExpirationSeconds
	}
	for _, condition := range o.Status.Conditions {
		switch condition.Type {
		case certificatesv1.CertificateApproved:
			request.Approved, request.Approver = true, condition.Reason
		case certificatesv1.CertificateDenied:
			request.Denied = true
		case certificatesv1.CertificateFailed:
		}
	}
	// Who approved is recorded by nobody but the field manager of the approval.
	for _, entry := range o.ManagedFields {
		if entry.Subresource == "approval" {
			request.Approver = entry.Manager
		}
	}
	if block, _ := pem.Decode(o.Spec.Request); block != nil {
		if parsed, err := x509.ParseCertificateRequest(block.Bytes); err == nil {
			request.RequestedName, request.RequestedGroups = parsed.Subject.CommonName, parsed.Subject.Organization
		}
	}
	if issued, err := Certificates(o.Status.Certificate); err == nil {
		request.Certificate = &issued[0]
	}
	return request, true
}

func (g *Gatherer) apiServices(ctx context.Context, what *Live) {
	type object struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Insecure bool `json:"insecureSkipTLSVerify"`
			Service  *struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
			} `json:"service"`
		} `json:"spec"`
	}
	g.found.APIServices, _ = listInto(ctx, g, what.API, facts.SourceAPIServices, Question{Path: "/apis/apiregistration.k8s.io/v1/apiservices"}, "list apiservices",
		func(o *object) (facts.APIService, bool) {
			if o.Spec.Service == nil {
				return facts.APIService{}, false // the API server itself answers it
			}
			return facts.APIService{Name: o.Metadata.Name, Service: o.Spec.Service.Namespace + "/" + o.Spec.Service.Name, Insecure: o.Spec.Insecure}, true
		})
}

func (g *Gatherer) tracking(ctx context.Context, what *Live) {
	data, err := configMap(ctx, what.API, "kube-apiserver-legacy-service-account-token-tracking")
	if err != nil {
		g.refused(facts.SourceTokenTracking, err, "get the ConfigMap kube-apiserver-legacy-service-account-token-tracking in kube-system")
		return
	}
	g.found.TokenTrackingSince = dayOf(data["since"])
	g.note(facts.SourceTokenTracking, facts.Read, 1, "", "")
}

// probes asks for a few paths without any credential.
func (g *Gatherer) probes(ctx context.Context, what *Live) {
	if what.Anonymous == nil {
		return
	}
	g.anonymous(ctx, what.Server, what.Anonymous)
	for _, replica := range what.Replicas {
		if replica.Anonymous != nil {
			g.anonymous(ctx, replica.Name, replica.Anonymous)
		}
	}
	g.clusterInfo(ctx, what.Anonymous)
}

// ProbePaths are asked for without a credential: a health check, what discovery shows, and what nobody should get.
func ProbePaths() []string { return []string{"/livez", "/version", "/api", facts.GuardedPath} }

func (g *Gatherer) anonymous(ctx context.Context, server string, asker Asker) {
	for _, path := range ProbePaths() {
		answer, err := asker.Ask(ctx, Question{Path: path})
		if err != nil {
			g.note(facts.SourceProbes, facts.Unreadable, len(g.found.Probes), server+": "+err.Error(), "a way to the API server without a credential")
			return
		}
		g.found.Probes = append(g.found.Probes, facts.Probe{Server: server, Path: path, Status: answer.Status})
	}
	for _, forged := range forgedHeaders() {
		answer, err := asker.Ask(ctx, Question{Path: facts.GuardedPath, Query: selector("limit", "1"), Header: forged.header})
		if err != nil {
			continue // a server that hangs up on such a request does not believe it
		}
		g.found.Probes = append(g.found.Probes, facts.Probe{Server: server, Path: facts.GuardedPath, Status: answer.Status, Headers: forged.name})
	}
	state, detail := facts.Read, ""
	if slices.ContainsFunc(g.found.Probes, func(p facts.Probe) bool { return p.Status == 0 || p.Status >= http.StatusInternalServerError }) {
		state, detail = facts.Partial, server+" answered some with an error of its own"
	}
	g.noteNoBetter(facts.SourceProbes, state, len(g.found.Probes), detail)
}

// forgedHeader claims to be an administrator, in one spelling.
type forgedHeader struct {
	name   string
	header map[string][]string
}

// forgedHeaders are the spellings in which a gate or a server could take an identity from a stranger. They are sent with
// a request that only reads, and without a credential.
func forgedHeaders() []forgedHeader {
	admin, masters := []string{"system:admin"}, []string{"system:masters"}
	return []forgedHeader{
		{"X-Remote-User", map[string][]string{"X-Remote-User": admin, "X-Remote-Group": masters}},
		{"x-remote-user", map[string][]string{"x-remote-user": admin, "x-remote-group": masters}},
		{"X_Remote_User", map[string][]string{"X_Remote_User": admin, "X_Remote_Group": masters}},
		{"X-Remote-User, twice", map[string][]string{"X-Remote-User": {"nobody", "system:admin"}, "X-Remote-Group": {"nobody", "system:masters"}}},
		{"Impersonate-User", map[string][]string{"Impersonate-User": admin, "Impersonate-Group": masters}},
		{"Impersonate-User, named in Connection", map[string][]string{"Impersonate-User": admin, "Impersonate-Group": masters, "Connection": {"X-Remote-User"}}},
	}
}
