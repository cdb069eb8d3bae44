package attacks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// grant gives boss the right to act as some, middle the right to act as top, and jane the right to use the pod.
func grant(ctx context.Context) error {
	impersonate := func(group, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names, Verbs: []string{"impersonate"}}
	}
	for _, one := range []struct {
		user  string
		rules []rbacv1.PolicyRule
	}{
		{"boss", []rbacv1.PolicyRule{
			// The ServiceAccount's name among the users is a trap: Kubernetes asks for serviceaccounts (attack 26).
			impersonate("", "users", "middle", "system:anonymous", "system:serviceaccount:team-b:builder"),
			impersonate("", "groups", "devs"),
			impersonate("authentication.k8s.io", "uids", "42"),
			impersonate("authentication.k8s.io", "userextras/reason", "audit"),
		}},
		{"middle", []rbacv1.PolicyRule{impersonate("", "users", "top")}},
		{"jane", []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods", "pods/exec", "pods/log", "pods/proxy", "namespaces"}, Verbs: []string{"get", "create", "list", "watch"}},
			{NonResourceURLs: []string{"*"}, Verbs: []string{"get", "head", "options"}},
		}},
	} {
		if err := shared.plane.Grant(ctx, "attacks-"+one.user, one.rules, controlplane.User(one.user)); err != nil {
			return err
		}
	}
	for _, namespace := range []string{"team-a", "team-b"} {
		if _, err := shared.plane.Admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	name := metav1.ObjectMeta{Name: "builders"}
	if _, err := shared.plane.Admin.RbacV1().Roles("team-a").Create(ctx, &rbacv1.Role{
		ObjectMeta: name, Rules: []rbacv1.PolicyRule{impersonate("", "serviceaccounts", "builder")},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := shared.plane.Admin.RbacV1().RoleBindings("team-a").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "boss"}},
	}, metav1.CreateOptions{})
	return err
}

// authenticationObject takes the issuer's tokens: user, uid and groups are the claims of those names, groups with the
// given prefix.
func authenticationObject(groupPrefix string) gate.Object {
	return gate.Object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"jwt": []any{gate.Object{
			"issuer": gate.Object{
				"url": shared.issuer.Issuer, "certificateAuthority": string(shared.issuer.CA), "audiences": []any{audience},
			},
			"claimMappings": gate.Object{
				"username": gate.Object{"claim": "sub", "prefix": ""},
				"groups":   gate.Object{"claim": "groups", "prefix": groupPrefix},
			},
		}},
	}
}

func authenticationConfiguration(groupPrefix string) ([]byte, error) {
	return json.Marshal(authenticationObject(groupPrefix))
}

// mint signs a token of the issuer.
func mint(subject string, groups ...string) (string, error) {
	claims := shared.issuer.Claims(subject, audience, groups...)
	return shared.issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: keyID, Claims: claims})
}

// poll asks until the answer is yes.
func poll(ctx context.Context, ask func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stage.Deadline)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		yes, err := ask(ctx)
		if yes && err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %w; the last error: %w", context.Cause(ctx), err)
		}
	}
}

// get asks for a path and returns the status.
func get(ctx context.Context, config *rest.Config, path string) (int, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
