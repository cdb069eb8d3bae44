package inventory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2" //nolint:depguard // the same seed must make the same policies
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// powerSettings is how many random policies are compared, and questionsEach how many questions each is asked.
	powerSettings, questionsEach = 200, 20
	powerSeed                    = 7
	// askers ask at a time; the API server and the tests share two cores.
	askers = 8
)

// setting is one random policy, with names of its own.
type setting struct {
	r      *rand.Rand
	prefix string
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func some(r *rand.Rand, from ...string) []string {
	var all []string
	for _, one := range from {
		if r.IntN(len(from)) == 0 {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		all = []string{pick(r, from...)}
	}
	return all
}

func (s *setting) rule(cluster bool) rbacv1.PolicyRule {
	if cluster && s.r.IntN(6) == 0 {
		return rbacv1.PolicyRule{Verbs: some(s.r, "get", "post", "*"), NonResourceURLs: some(s.r, "/metrics", "/logs/*", "/healthz*", "*", "/a/*")}
	}
	rule := rbacv1.PolicyRule{
		Verbs:     some(s.r, "get", "list", "create", "update", "impersonate", "bind", "escalate", "approve", "*"),
		APIGroups: some(s.r, "", "apps", "rbac.authorization.k8s.io", "certificates.k8s.io", "*"),
		Resources: some(s.r, "pods", "pods/exec", "pods/*", "*/exec", "secrets", "serviceaccounts/token", "deployments", "clusterroles", "signers", "users", "*", "*/status"),
	}
	if s.r.IntN(3) == 0 {
		rule.ResourceNames = some(s.r, "a", "b", "kubernetes.io/kube-apiserver-client", "*")
	}
	return rule
}

func (s *setting) rules(cluster bool) []rbacv1.PolicyRule {
	rules := make([]rbacv1.PolicyRule, 1+s.r.IntN(2))
	for i := range rules {
		rules[i] = s.rule(cluster)
	}
	return rules
}

func (s *setting) namespace(i int) string { return fmt.Sprintf("%s-n%d", s.prefix, i) }

// account is the namespace and name of a ServiceAccount, and its user name.
func (s *setting) account(i int) (namespace, name, user string) {
	namespace, name = s.namespace(i%2), fmt.Sprintf("sa%d", i)
	return namespace, name, "system:serviceaccount:" + namespace + ":" + name
}

func (s *setting) subject() rbacv1.Subject {
	switch s.r.IntN(6) {
	case 0, 1:
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: s.prefix + pick(s.r, "-u0", "-u1")}
	case 2:
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: s.prefix + pick(s.r, "-g0", "-g1")}
	case 3:
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:serviceaccounts:" + s.namespace(s.r.IntN(2))}
	case 4: // an account by its user name
		_, _, user := s.account(s.r.IntN(2))
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}
	default:
		namespace, name, _ := s.account(s.r.IntN(2))
		return serviceAccount(namespace, name)
	}
}

// create makes the policy: roles of both kinds, an aggregated one, bindings, one of them to a role that is not there.
func (s *setting) create(ctx context.Context) (err error) {
	keep := func(e error) { err = errors.Join(err, e) }
	api, options := shared.plane.Admin.RbacV1(), metav1.CreateOptions{}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: s.prefix + "-" + name}
	}
	for i := range 2 {
		_, e := shared.plane.Admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace(i)}}, options)
		keep(e)
		_, e = api.Roles(s.namespace(i)).Create(ctx, &rbacv1.Role{ObjectMeta: meta("role"), Rules: s.rules(false)}, options)
		keep(e)
	}
	part := &rbacv1.ClusterRole{ObjectMeta: meta("part"), Rules: s.rules(true)}
	part.Labels = map[string]string{"into": s.prefix}
	_, e := api.ClusterRoles().Create(ctx, part, options)
	keep(e)
	_, e = api.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta("plain"), Rules: s.rules(true)}, options)
	keep(e)
	_, e = api.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta("sum"), AggregationRule: &rbacv1.AggregationRule{
		ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: part.Labels}},
	}}, options)
	keep(e)
	clusterRole := func() rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: s.prefix + pick(s.r, "-plain", "-plain", "-part", "-sum", "-gone")}
	}
	_, e = api.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta("everywhere"), RoleRef: clusterRole(), Subjects: []rbacv1.Subject{s.subject()},
	}, options)
	keep(e)
	for i := range 3 {
		ref := clusterRole()
		if s.r.IntN(2) == 0 {
			ref = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: s.prefix + "-role"}
		}
		_, e = api.RoleBindings(s.namespace(i%2)).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: meta(fmt.Sprint("there", i)), RoleRef: ref, Subjects: []rbacv1.Subject{s.subject(), s.subject()},
		}, options)
		keep(e)
	}
	return err
}

// question is one that is put to both.
type question authorizationv1.SubjectAccessReviewSpec

// authenticated are groups with the one that every caller has.
func authenticated(groups ...string) []string { return append(groups, "system:authenticated") }

func (s *setting) question() question {
	var q question
	switch s.r.IntN(3) {
	case 0:
		q.User, q.Groups = s.prefix+pick(s.r, "-u0", "-u1"), authenticated(s.prefix+pick(s.r, "-g0", "-g1", "-none"))
	case 1:
		namespace, _, user := s.account(s.r.IntN(2))
		q.User, q.Groups = user, authenticated("system:serviceaccounts", "system:serviceaccounts:"+namespace)
	default:
		q.User, q.Groups = s.prefix+"-u0", authenticated(pick(s.r, "other", "system:masters", "system:serviceaccounts:"+s.namespace(0)))
	}
	if s.r.IntN(8) == 0 {
		q.NonResourceAttributes = &authorizationv1.NonResourceAttributes{
			Verb: pick(s.r, "get", "post"), Path: pick(s.r, "/metrics", "/logs/x", "/logs", "/healthz/a", "/a"),
		}
		return q
	}
	resource := pick(s.r, [2]string{"pods", ""}, [2]string{"pods", "exec"}, [2]string{"pods", "status"}, [2]string{"secrets", ""}, [2]string{"serviceaccounts", "token"},
		[2]string{"deployments", ""}, [2]string{"deployments", "exec"}, [2]string{"clusterroles", ""}, [2]string{"signers", ""}, [2]string{"users", ""})
	q.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Verb:  pick(s.r, "get", "list", "create", "update", "impersonate", "bind", "escalate", "approve", "patch"),
		Group: pick(s.r, "", "", "apps", "rbac.authorization.k8s.io", "certificates.k8s.io"), Resource: resource[0], Subresource: resource[1],
		Namespace: pick(s.r, "", s.namespace(0), s.namespace(1)), Name: pick(s.r, "", "a", "b", "c", "*", "kubernetes.io/kube-apiserver-client"),
	}
	return q
}

// ask has the API server answer.
func (q *question) ask(ctx context.Context) (bool, error) {
	answer, err := shared.plane.Admin.AuthorizationV1().SubjectAccessReviews().Create(ctx,
		&authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec(*q)}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// settle waits until the API server's authorizer has seen all that was made before: of each of its four lists, the last.
func settle(ctx context.Context) error {
	last := &setting{prefix: "settled"}
	if err := shared.plane.Grant(ctx, "settled", []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"settled"}, Resources: []string{"cluster"}}}, rbacv1.Subject{Kind: "User", Name: "settled"}); err != nil {
		return err
	}
	api := shared.plane.Admin.RbacV1()
	if _, err := api.Roles("default").Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: last.prefix}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"settled"}, Resources: []string{"namespace"}}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := api.RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: last.prefix}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: last.prefix},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "settled"}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, stage.Deadline, true, func(ctx context.Context) (bool, error) {
		for _, resource := range []string{"cluster", "namespace"} {
			q := question{User: "settled", ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Group: "settled", Resource: resource, Namespace: "default"}}
			if allowed, err := q.ask(ctx); err != nil || !allowed {
				return false, err
			}
		}
		return true, nil
	})
}

// aggregate waits until every sum of roles holds what it is the sum of.
func aggregate(ctx context.Context) error {
	roles := shared.plane.Admin.RbacV1().ClusterRoles()
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, stage.Deadline, true, func(ctx context.Context) (bool, error) {
		all, err := roles.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		parts := map[string]int{}
		for i := range all.Items {
			parts[all.Items[i].Name] = len(all.Items[i].Rules)
		}
		for i := range powerSettings {
			if parts[fmt.Sprintf("p%d-sum", i)] != parts[fmt.Sprintf("p%d-part", i)] {
				return false, nil
			}
		}
		return true, nil
	})
}

// computed has the plugin answer all questions, from what it reads of the cluster.
func computed(t *testing.T, questions []question) []struct {
	Allowed bool
	Through string
} {
	t.Helper()
	var input bytes.Buffer
	for i := range questions {
		if err := json.NewEncoder(&input).Encode(&questions[i]); err != nil {
			t.Fatal(err)
		}
	}
	result, err := command(shared.plane.AdminKubeconfig).RunInput(t.Context(), &input, "ostiary", "can", "--questions")
	if err != nil || result.ExitCode != 0 {
		t.Fatalf("%v\n%s", err, result.Stderr)
	}
	var answers []struct {
		Allowed bool
		Through string
	}
	decoder := json.NewDecoder(strings.NewReader(result.Stdout))
	for decoder.More() {
		answers = append(answers, struct {
			Allowed bool
			Through string
		}{})
		if err := decoder.Decode(&answers[len(answers)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

// TestPowerIsTheServers compares what is computed with the API server's own answers. Some must be yes and some no, or
// nothing is compared.
func TestPowerIsTheServers(t *testing.T) {
	ctx := t.Context()
	settings := make([]*setting, powerSettings)
	work := func(do func(*setting) error) {
		next, failed := make(chan *setting), make(chan error, powerSettings)
		var all sync.WaitGroup
		for range askers {
			all.Go(func() {
				for s := range next {
					if err := do(s); err != nil {
						failed <- err
					}
				}
			})
		}
		for _, s := range settings {
			next <- s
		}
		close(next)
		all.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
	}
	for i := range settings {
		settings[i] = &setting{r: rand.New(rand.NewPCG(powerSeed, uint64(i))), prefix: fmt.Sprintf("p%d", i)}
	}
	work(func(s *setting) error { return s.create(ctx) })
	if t.Failed() {
		return
	}
	if err := aggregate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := settle(ctx); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var questions []question
	var wanted []bool
	yes := 0
	work(func(s *setting) error {
		for range questionsEach {
			q := s.question()
			want, err := q.ask(ctx)
			if err != nil {
				return err
			}
			mu.Lock()
			questions, wanted = append(questions, q), append(wanted, want)
			if want {
				yes++
			}
			mu.Unlock()
		}
		return nil
	})
	wrong := 0
	for i, got := range computed(t, questions) {
		if got.Allowed != wanted[i] {
			if wrong++; wrong <= 5 {
				t.Errorf("%+v: computed %v (%s), the API server says %v", questions[i], got.Allowed, got.Through, wanted[i])
			}
		}
	}
	no := len(questions) - yes
	t.Logf("%d policies: %d answers yes, %d no, %d disagree", powerSettings, yes, no, wrong)
	if wrong > 0 || yes < powerSettings || no < powerSettings {
		t.Errorf("%d disagree; %d answers yes and %d no, of each of which there must be enough to compare", wrong, yes, no)
	}
}
