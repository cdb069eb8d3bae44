package audit_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// plantWeak makes everything that should not be.
func plantWeak(ctx context.Context, w *world) error {
	w.secrets = append(w.secrets, weakStaticToken)
	w.args = append(w.args,
		"--read-bootstrap-tokens", "--scan-configmaps", "--scan-secrets", "--scan-pods", "--audit-log", filepath.Join(w.Dir, "audit.log"), "--approver", "nobody")
	return steps(ctx, w,
		func(ctx context.Context, w *world) error {
			return joinable(ctx, w, weakJoinID, weakJoinSecret, time.Time{}, "system:bootstrappers:odd")
		},
		publicClusterInfo,
		bound("open", "view", user("system:anonymous")),
		bound("all", "view", group("system:authenticated")),
		bound("joiners", "view", group("system:bootstrappers:odd")),
		bound("operators", "cluster-admin", group("operators")),
		clusterRole("approvers", user("eve"), rule("certificates.k8s.io", []string{"certificatesigningrequests/approval"}, "update"), rule("certificates.k8s.io", []string{"signers"}, "approve")),
		clusterRole("minters", user("eve"), rule("", []string{"serviceaccounts/token"}, "create")),
		clusterRole("actors", user("eve"), rule("", []string{"users", "groups"}, "impersonate")),
		clusterRole("readers", user("eve"), rule("", []string{"secrets"}, "create", "get")),
		bound("everybody-here", "view", group("system:serviceaccounts:default")),
		func(ctx context.Context, w *world) error {
			return w.Grant(ctx, "many-readers", []rbacv1.PolicyRule{rule("", []string{"secrets"}, "list")}, user("a"), user("b"), user("c"), user("d"), user("e"))
		},
		func(ctx context.Context, w *world) error { return mapPrincipals(ctx, w, "system:masters") },
		func(ctx context.Context, w *world) error { return asksFor(ctx, w, 7*24*time.Hour) },
		plantAccounts, plantCertificates, plantFiles, plantStored, plantUse,
	)
}

// mapPrincipals has the list by which EKS lets cloud principals in.
func mapPrincipals(ctx context.Context, w *world, group string) error {
	_, err := w.Admin.CoreV1().ConfigMaps("kube-system").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"},
		Data:       map[string]string{"mapRoles": "- {rolearn: \"arn:aws:iam::1:role/ops\", username: ops, groups: [" + group + "]}\n"},
	}, metav1.CreateOptions{})
	return err
}

// asksFor makes a pod that asks for a token of such a lifetime for another party.
func asksFor(ctx context.Context, w *world, lifetime time.Duration) error {
	if err := until(ctx, "the account default", func(ctx context.Context) (bool, error) {
		_, err := w.Admin.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	}); err != nil {
		return err
	}
	seconds := int64(lifetime / time.Second)
	_, err := w.Admin.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-agent"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "none.example.com/none"}},
			Volumes: []corev1.Volume{{Name: "vault", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", ExpirationSeconds: &seconds, Path: "token"}},
			}}}}},
		},
	}, metav1.CreateOptions{})
	return err
}

// plantAccounts makes an account that is an administrator, with a token in a Secret that is used by a person.
func plantAccounts(ctx context.Context, w *world) error {
	_, err := w.Admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "root"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if err := w.Bind(ctx, "root", "cluster-admin", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "root"}); err != nil {
		return err
	}
	token, err := tokenSecret(ctx, w, "default", "root")
	if err != nil {
		return err
	}
	if err := uses(ctx, w.Access().WithToken(token), w, "get", "namespaces"); err != nil {
		return err
	}
	if err := mint(ctx, w, "default", "root", 365*24*time.Hour); err != nil {
		return err
	}
	_, err = w.Admin.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "copied"}, Data: map[string]string{"token": token},
	}, metav1.CreateOptions{})
	return err
}

// plantCertificates has certificates signed that nobody should have.
func plantCertificates(ctx context.Context, w *world) error {
	pair, err := w.Authorities.Client.Issue(pki.Client("admin", "system:masters"))
	if err != nil {
		return err
	}
	config, err := w.Access().WithCertificate(pair).REST()
	if err != nil {
		return err
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:default:root", Groups: []string{"system:masters"}}
	asAccount, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := signed(ctx, w, asAccount, "planted", time.Hour, "system:masters"); err != nil {
		return err
	}
	if err := signed(ctx, w, w.Admin, "mallory", 60*24*time.Hour, "operators"); err != nil {
		return err
	}
	return signed(ctx, w, w.Admin, "system:serviceaccount:default:root", time.Hour)
}

// plantFiles gives the audit files with faults.
func plantFiles(_ context.Context, w *world) error {
	pair, err := w.Authorities.Client.Issue(pki.Leaf{CommonName: "system:admin", ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return err
	}
	if err := w.kubeconfig("open", w.Access().WithCertificate(pair).WithServer("https://198.51.100.1:6443", nil)); err != nil {
		return err
	}
	for _, name := range []string{"open.kubeconfig", "tokens.csv", "client-ca.key"} {
		if err := os.Chmod(filepath.Join(w.Dir, name), 0o644); err != nil { // that everybody can read it is the fault
			return err
		}
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(w.Dir, "tokens.csv"), later, later); err != nil {
		return err
	}
	for _, file := range []struct{ flag, name, content string }{
		{"--join-file", "cloud-init.yaml", "runcmd: [kubeadm join --token " + weakJoinID + "." + weakJoinSecret + " 10.0.0.1:6443]\n"},
		{"--kubelet-config", "kubelet.yaml", "kind: KubeletConfiguration\nauthentication: {anonymous: {enabled: true}}\nreadOnlyPort: 10255\n"},
		{"--roster", "people.csv", "username,active\nalice,true\nmallory,false\n"},
		{"--kubeconfig-file", "gate.kubeconfig", "kind: Config\nclusters: [{name: a, cluster: {server: \"https://10.0.0.1\", insecure-skip-tls-verify: true}}]\nusers: [{name: gate, user: {as: bob}}]\n"},
		{"--kubeconfig-file", "old.kubeconfig", "kind: Config\nclusters: [{name: a, cluster: {server: \"https://10.0.0.1\"}}]\ncontexts: [{name: gone, context: {cluster: b, user: c}}]\nusers: [{name: a, user: {exec: {command: ./login}}}]\n"},
	} {
		if err := w.write(file.flag, file.name, file.content); err != nil {
			return err
		}
	}
	return nil
}

// plantStored keeps credentials in the cluster, and has a server behind the API server that proves nothing.
func plantStored(ctx context.Context, w *world) error {
	admin, err := os.ReadFile(w.AdminKubeconfig)
	if err != nil {
		return err
	}
	if _, err := w.Admin.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "tools"}, Data: map[string]string{"config": string(admin)},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	files, err := w.FrontProxy()
	if err != nil {
		return err
	}
	data := map[string][]byte{}
	for key, name := range map[string]string{"tls.crt": files.Cert, "tls.key": files.Key} {
		if data[key], err = os.ReadFile(name); err != nil {
			return err
		}
	}
	if _, err := w.Admin.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "front-proxy"}, Data: data,
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	service, err := json.Marshal(map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1.insecure.example.com"},
		"spec": map[string]any{
			"group": "insecure.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
			"service": map[string]any{"namespace": "default", "name": "nobody"},
		},
	})
	if err != nil {
		return err
	}
	return w.Admin.RESTClient().Post().AbsPath("/apis/apiregistration.k8s.io/v1/apiservices").SetHeader("Content-Type", "application/json").Body(service).Do(ctx).Error()
}

// plantUse leaves traces in the audit log of what people should not do.
func plantUse(ctx context.Context, w *world) error {
	for _, leaf := range []pki.Leaf{pki.Client("bob"), pki.Client("system:node:ghost", "system:nodes")} {
		access, err := w.CertificateAccess(leaf)
		if err != nil {
			return err
		}
		if err := uses(ctx, access, w, "get", "pods"); err != nil {
			return err
		}
	}
	return uses(ctx, w.Access().WithToken(weakJoinID+"."+weakJoinSecret), w, "get", "pods")
}

// plantOdd replaces the CA of proxies by that of clients while the API server runs. kube-apiserver 1.37 does not start
// with both as one and without names, but takes the file again when it changes, and does not look again.
func plantOdd(ctx context.Context, w *world) error {
	w.args = append(w.args, "--audit-log", filepath.Join(w.Dir, "audit.log"))
	shared := string(w.Authorities.Client.PEM())
	if err := pki.WriteFile(filepath.Join(w.Dir, proxiesCA), []byte(shared)); err != nil {
		return err
	}
	return until(ctx, "the CA of clients as that of proxies", func(ctx context.Context) (bool, error) {
		object, err := w.Admin.CoreV1().ConfigMaps("kube-system").Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return strings.Contains(object.Data["requestheader-client-ca-file"], shared), nil
	})
}

// plantSound makes what a cluster that is run with care has, too.
func plantSound(ctx context.Context, w *world) error {
	w.secrets = append(w.secrets, hookToken)
	w.args = append(w.args, "--read-bootstrap-tokens", "--scan-configmaps", "--scan-secrets", "--scan-pods")
	return steps(ctx, w,
		// The same as in the loose cluster, and nothing wrong with it.
		func(ctx context.Context, w *world) error {
			return uses(ctx, w.Access().WithToken(hookToken), w, "get", "pods")
		},
		func(ctx context.Context, w *world) error { return signIn(ctx, w, 59*time.Minute) },
		func(ctx context.Context, w *world) error {
			access, err := w.CertificateAccess(pki.Client("system:node:node-1", "system:nodes"))
			if err != nil {
				return err
			}
			if err := w.kubeconfig("node-1", access); err != nil {
				return err
			}
			config, err := access.REST()
			if err != nil {
				return err
			}
			node, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			token, err := podToken(ctx, w, node)
			if err != nil {
				return err
			}
			_, err = whoIs(ctx, w, token, "builder/v1")
			return err
		},
		func(ctx context.Context, w *world) error {
			return joinable(ctx, w, "k3x9qz", soundJoinSecret, time.Now().Add(time.Hour), "system:bootstrappers:kubeadm:default-node-token")
		},
		join,
		publicClusterInfo,
		bound("joiners", "system:node-bootstrapper", group("system:bootstrappers:kubeadm:default-node-token")),
		bound("operators", "cluster-admin", group("idp:operators")),
		func(ctx context.Context, w *world) error { return mapPrincipals(ctx, w, "developers") },
		func(ctx context.Context, w *world) error { return asksFor(ctx, w, time.Hour) },
		func(ctx context.Context, w *world) error { return signed(ctx, w, w.Admin, "alice", time.Hour) },
		func(_ context.Context, w *world) error {
			for _, file := range []struct{ flag, name, content string }{
				{"--join-file", "cloud-init.yaml", "runcmd: [kubeadm join --discovery-file /run/join.conf]\n"},
				{"--manifest", "controller-manager.flags", "kube-controller-manager --cluster-signing-duration=720h --controllers=*"},
				{"--kubelet-config", "kubelet.yaml", "kind: KubeletConfiguration\nauthentication: {anonymous: {enabled: false}, x509: {clientCAFile: /ca.crt}}\nauthorization: {mode: Webhook}\nrotateCertificates: true\n"},
				{"--roster", "people.csv", "username,active\nalice,true\ne2e-admin,true\ne2e-controller-manager,true\n"},
				{"--kubeconfig-file", "gate.kubeconfig", "kind: Config\nclusters: [{name: a, cluster: {server: \"https://10.0.0.1\", certificate-authority: ca.crt}}]\nusers: [{name: gate, user: {as: bob}}]\n"},
			} {
				if err := w.write(file.flag, file.name, file.content); err != nil {
					return err
				}
			}
			return nil
		},
		// What was done up to here; later somebody with a certificate audits.
		func(_ context.Context, w *world) error {
			log, err := os.ReadFile(filepath.Join(w.Dir, "audit.log"))
			if err != nil {
				return err
			}
			return pki.WriteFile(filepath.Join(w.Dir, quietLog), log)
		},
	)
}

// join does what a node does that joins: it asks for the version, and for kubeadm's configuration, which is not there.
func join(ctx context.Context, w *world) error {
	config, err := w.Access().WithToken("k3x9qz." + soundJoinSecret).REST()
	if err != nil {
		return err
	}
	node, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := node.Discovery().ServerVersion(); err != nil {
		return err
	}
	if _, err := node.CoreV1().ConfigMaps("kube-system").Get(ctx, "kubeadm-config", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		return fmt.Errorf("kubeadm's configuration: %w, want it to be refused", err)
	}
	return nil
}

// quietLog is the audit log of the sound cluster before anybody audited it.
const quietLog = "audit-quiet.log"
