package inventory_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/facts/collect"
	"github.com/ostiary/ostiary/internal/hardening"
	"github.com/ostiary/ostiary/internal/inventory"
	"github.com/ostiary/ostiary/internal/report"
)

// scale is how large a cluster is.
type scale struct{ namespaces, accounts, secrets, bindings, users, logBytes int }

// large is the largest cluster of whose figures people wrote, with an audit log of some hours.
func large() scale {
	return scale{namespaces: 10_000, accounts: 30_000, secrets: 90_000, bindings: 40_000, users: 2_000, logBytes: 1 << 30}
}

// fleet answers as the API server of such a cluster, a page at a time, and counts what it was asked for.
type fleet struct {
	scale

	calls, bytes, largest int
}

// Ask implements collect.Asker.
func (f *fleet) Ask(_ context.Context, q collect.Question) (collect.Answer, error) {
	f.calls++
	body := f.body(&q)
	if body == nil {
		return collect.Answer{Status: http.StatusNotFound, Body: []byte(`{"kind":"Status","code":404}`)}, nil
	}
	encoded, err := json.Marshal(body)
	f.bytes += len(encoded)
	f.largest = max(f.largest, len(encoded))
	return collect.Answer{Status: http.StatusOK, Body: encoded}, err
}

func (f *fleet) body(q *collect.Question) any {
	switch {
	case q.Path == "/version":
		return map[string]string{"gitVersion": "v1.37.2"}
	case q.Path == "/api/v1/namespaces":
		return page(q, f.namespaces, func(i int) any {
			return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: f.namespace(i)}}
		})
	case q.Path == "/api/v1/serviceaccounts":
		return page(q, f.accounts, func(i int) any {
			return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(i), Name: account(i), UID: "u"}}
		})
	case q.Path == "/api/v1/secrets" && strings.Contains(q.Query.Get("fieldSelector"), "service-account-token"):
		return page(q, f.secrets, func(i int) any {
			return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
				Namespace: f.namespace(i % f.accounts), Name: fmt.Sprintf("token-%05d", i), CreationTimestamp: metav1.NewTime(now().Add(-time.Duration(i) * time.Minute)),
				Labels: map[string]string{"kubernetes.io/legacy-token-last-used": "2026-10-01"}, Annotations: map[string]string{"kubernetes.io/service-account.name": account(i % f.accounts)},
			}}
		})
	case strings.HasSuffix(q.Path, "/clusterroles"):
		return page(q, 300, func(i int) any {
			role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("role-%d", i)}, Rules: []rbacv1.PolicyRule{
				{Verbs: []string{"get", "list"}, APIGroups: []string{"", "apps"}, Resources: []string{"pods", "deployments", "configmaps"}},
				{Verbs: []string{"create", "update"}, APIGroups: []string{fmt.Sprintf("group-%d.example.com", i)}, Resources: []string{"things"}},
			}}
			switch {
			case i == 0:
				role.Rules = []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}
			case i%10 == 0:
				role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"secrets"}})
			case i%10 == 1:
				role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"pods"}})
			}
			return role
		})
	case strings.HasSuffix(q.Path, "/clusterrolebindings"):
		return page(q, 400, func(i int) any {
			return rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("everywhere-%d", i)}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: fmt.Sprintf("role-%d", i%300)},
				Subjects: []rbacv1.Subject{f.subject(i * 7)},
			}
		})
	case strings.HasSuffix(q.Path, "/rolebindings"):
		return page(q, f.bindings, func(i int) any {
			return rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace(i), Name: fmt.Sprintf("b-%d", i)}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: fmt.Sprintf("role-%d", 1+i%299)},
				Subjects: []rbacv1.Subject{f.subject(i)},
			}
		})
	case strings.HasSuffix(q.Path, "/roles"), strings.HasSuffix(q.Path, "/nodes"), strings.HasSuffix(q.Path, "/certificatesigningrequests"),
		strings.HasSuffix(q.Path, "/secrets"), strings.HasSuffix(q.Path, "/apiservices"), strings.HasSuffix(q.Path, "/pods"):
		return page(q, 0, nil)
	default:
		return nil
	}
}

func (f *fleet) namespace(i int) string { return fmt.Sprintf("team-%05d", i%f.namespaces) }

func account(i int) string { return fmt.Sprintf("account-%d", i%30_000) }

func (f *fleet) subject(i int) rbacv1.Subject {
	switch i % 3 {
	case 0:
		return rbacv1.Subject{Kind: "User", Name: fmt.Sprintf("oidc:person-%d", i%f.users)}
	case 1:
		return rbacv1.Subject{Kind: "Group", Name: fmt.Sprintf("oidc:team-%d", i%500)}
	default:
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: f.namespace(i % f.accounts), Name: account(i % f.accounts)}
	}
}

// page is a part of a list, as an API server gives it.
func page(q *collect.Question, total int, item func(int) any) any {
	limit, _ := strconv.Atoi(q.Query.Get("limit"))
	if limit == 0 {
		limit = max(total, 1)
	}
	first, _ := strconv.Atoi(q.Query.Get("continue"))
	last := min(first+limit, total)
	items := make([]any, 0, last-first)
	for i := first; i < last; i++ {
		items = append(items, item(i))
	}
	next := ""
	if last < total {
		next = strconv.Itoa(last)
	}
	return map[string]any{"kind": "List", "metadata": map[string]string{"continue": next, "resourceVersion": "1"}, "items": items}
}

// writeLog writes an audit log of people, pods and kubelets, with events of the size that is usual.
func (f *fleet) writeLog(t testing.TB, name string) (events int) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	padding := strings.Repeat("p", 520)
	for written := 0; written < f.logBytes; events++ {
		user, id := fmt.Sprintf("oidc:person-%d", events%f.users), fmt.Sprintf("JTI=person-%d-%d", events%f.users, events/50_000)
		if events%2 == 0 {
			user = "system:serviceaccount:" + f.namespace(events%f.accounts) + ":" + account(events%f.accounts)
			id = fmt.Sprintf("JTI=%08d-aaaa-bbbb-cccc-%012d", events%f.accounts, events/200_000)
		}
		n, err := fmt.Fprintf(out, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%036d","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/x/pods/%s","verb":"get",`+
			`"user":{"username":%q,"uid":"0d8f7f5e-3f0e-4c9c-9a55-000000000000","groups":["system:serviceaccounts","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":[%q]}},`+
			`"sourceIPs":["10.1.%d.%d"],"userAgent":"kubelet/v1.37.2 (linux/amd64) kubernetes/abcdef","objectRef":{"resource":"pods","namespace":"x","name":"y","apiVersion":"v1"},`+
			`"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":%q,"stageTimestamp":%q,"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding"}}`+"\n",
			events, padding, user, id, events%f.users%7, events%f.users%200, now().Add(-time.Hour).Format(time.RFC3339Nano), now().Format(time.RFC3339Nano))
		if err != nil {
			t.Fatal(err)
		}
		written += n
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return events
}

// figures are what a run took.
type figures struct {
	lists, log, analysis, writing, audit time.Duration
	credentials, findings                int
}

// inventoryOf makes the whole way: lists, log, analysis, report, and the judgement of the same facts.
func inventoryOf(ctx context.Context, t testing.TB, f *fleet, log string) figures {
	t.Helper()
	var took figures
	g := collect.New(now(), "test")
	began := time.Now()
	if err := g.Live(ctx, collect.Live{API: f, Server: "https://fleet"}); err != nil {
		t.Fatal(err)
	}
	took.lists, began = time.Since(began), time.Now()
	if err := g.AuditLogs(ctx, []string{log}); err != nil {
		t.Fatal(err)
	}
	took.log, began = time.Since(began), time.Now()
	inv := inventory.Build(&inventory.Input{Facts: g.Facts()})
	answer, err := inv.Ask(&inventory.Question{})
	if err != nil {
		t.Fatal(err)
	}
	took.analysis, began = time.Since(began), time.Now()
	made, err := inv.Report(answer, report.FormatJSON, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Write(io.Discard, report.FormatJSON); err != nil {
		t.Fatal(err)
	}
	took.writing, took.credentials, began = time.Since(began), len(inv.Credentials), time.Now()
	took.findings = len(hardening.Run(g.Facts(), hardening.Options{}, nil))
	took.audit = time.Since(began)
	return took
}

// TestScaleInSmall: a hundredth of the large cluster, with pages of what is asked for and no list without a limit.
func TestScaleInSmall(t *testing.T) {
	t.Parallel()

	l := large()
	f := &fleet{scale: scale{l.namespaces / 100, l.accounts / 100, l.secrets / 100, l.bindings / 100, l.users / 100, l.logBytes / 1000}}
	log := filepath.Join(t.TempDir(), "audit.log")
	f.writeLog(t, log)
	took := inventoryOf(t.Context(), t, f, log)
	if took.credentials < f.secrets+f.users {
		t.Errorf("%d lines of %d Secrets and %d people", took.credentials, f.secrets, f.users)
	}
	if f.calls > 60 {
		t.Errorf("%d calls", f.calls)
	}
}

// BenchmarkScale is the large cluster. Run it alone, with -benchtime 1x; it writes a log of 1 GB into the temporary folder.
// The figure of memory is of the whole process, the answering side included.
func BenchmarkScale(b *testing.B) {
	debug.SetMemoryLimit(384 << 20) // as the command does
	f := &fleet{scale: large()}
	log := filepath.Join(b.TempDir(), "audit.log")
	events := f.writeLog(b, log)
	for b.Loop() {
		f.calls, f.bytes = 0, 0
		took := inventoryOf(b.Context(), b, f, log)
		b.ReportMetric(took.lists.Seconds(), "lists-s")
		b.ReportMetric(took.log.Seconds(), "log-s")
		b.ReportMetric(took.analysis.Seconds(), "analysis-s")
		b.ReportMetric(took.writing.Seconds(), "writing-s")
		b.ReportMetric(took.audit.Seconds(), "audit-s")
		b.ReportMetric(float64(took.credentials), "credentials")
		b.ReportMetric(float64(took.findings), "findings")
	}
	b.ReportMetric(float64(events), "events")
	b.ReportMetric(float64(f.calls), "calls")
	b.ReportMetric(float64(f.bytes)/(1<<20), "MB-listed")
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kilobytes, _ := strconv.Atoi(strings.Fields(text)[0])
				b.ReportMetric(float64(kilobytes)/(1<<10), "MB-peak")
			}
		}
	}
}
