package kubectl_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// plantedSecrets are in what the server of context "weak" answers. No output may hold one.
const (
	plantedToken  = "0123456789abcdef"
	plantedSecret = "c3VwZXItc2VjcmV0LXRva2Vu"
)

// weakCluster answers as an API server with faults does.
func weakCluster(mux *http.ServeMux) {
	get := func(path string, object any) { mux.HandleFunc("GET /weak"+path, sends(http.StatusOK, object)) }
	list := func(path string, items ...any) {
		if items == nil {
			items = []any{}
		}
		get(path, map[string]any{"kind": "List", "metadata": map[string]any{}, "items": items})
	}
	get("/version", map[string]string{"gitVersion": "v1.37.2"})
	get("/livez", map[string]string{})
	get("/flagz", map[string]any{"kind": "Flagz", "flags": map[string]string{
		"anonymous-auth": "true", "authorization-mode": "[Node,RBAC]", "etcd-servers": "[https://root:" + plantedSecret + "@etcd:2379]",
		"service-account-lookup": "true", "service-account-extend-token-expiration": "true",
	}})
	list("/api/v1/namespaces/kube-system/pods")
	list("/api/v1/namespaces")
	list("/api/v1/nodes")
	list("/api/v1/serviceaccounts")
	list("/api/v1/secrets")
	list("/api/v1/namespaces/kube-system/secrets", corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "bootstrap-token-abcdef",
			Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": plantedSecret},
		},
		Type: corev1.SecretTypeBootstrapToken,
		Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte(plantedToken)},
	})
	for _, kind := range []string{"roles", "clusterroles", "rolebindings"} {
		list("/apis/rbac.authorization.k8s.io/v1/" + kind)
	}
	list("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "=open"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "system:anonymous"}},
	})
	list("/apis/certificates.k8s.io/v1/certificatesigningrequests")
	list("/apis/apiregistration.k8s.io/v1/apiservices")

	content := "apiVersion: v1\nkind: Config\n"
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"abcdef"}`))
	mac := hmac.New(sha256.New, []byte(plantedToken))
	_, _ = mac.Write([]byte(header + "." + base64.RawURLEncoding.EncodeToString([]byte(content))))
	get("/api/v1/namespaces/kube-public/configmaps/cluster-info", map[string]any{"data": map[string]string{
		"kubeconfig": content, "jws-kubeconfig-abcdef": header + ".." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
	}})
	mux.HandleFunc("/weak/", sends(http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound)))
}

// withoutCredential reports whether the weak cluster answers a request that has none.
func withoutCredential(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/weak/") && r.Header.Get("Authorization") == "" &&
		(strings.HasSuffix(r.URL.Path, "/cluster-info") || r.URL.Path == "/weak/version" || r.URL.Path == "/weak/livez")
}
