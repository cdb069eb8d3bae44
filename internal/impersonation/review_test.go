package impersonation_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/impersonation"
)

func asType[E error](err error) (E, bool) { return errors.AsType[E](err) }

// TestReviewIsAboutTheRequester: attack 28, a review that leaves out uid, groups or extra asks about somebody else.
func TestReviewIsAboutTheRequester(t *testing.T) {
	reviewer := &cluster{every: true}
	_, err := newChecker(t, impersonation.Config{Reviewer: reviewer}).Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane())
	if err != nil || len(reviewer.specs) == 0 {
		t.Fatal(err)
	}
	for _, spec := range reviewer.specs {
		spec.ResourceAttributes, spec.NonResourceAttributes = nil, nil
		want := authorizationv1.SubjectAccessReviewSpec{User: "jane", UID: "1", Groups: []string{"dev", "system:authenticated"}, Extra: map[string]authorizationv1.ExtraValue{
			"authentication.kubernetes.io/credential-id": {"JTI=4711"}, "department": {"d"},
		}}
		if diff := cmp.Diff(want, spec); diff != "" {
			t.Error(diff)
		}
	}
}

// TestMemory: IMP-13, constrained successes are remembered for 10 seconds and for the same requester only; legacy ones
// are not.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := &cluster{every: true}
		checker := newChecker(t, impersonation.Config{Reviewer: reviewer})
		check := func() int {
			t.Helper()
			reviewer.reset()
			if _, err := checker.Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane()); err != nil {
				t.Fatal(err)
			}
			return len(reviewer.asked)
		}
		if n := check(); n != 2 {
			t.Errorf("first: %d reviews", n)
		}
		if n := check(); n != 0 {
			t.Errorf("at once: %d reviews", n)
		}
		reviewer.reset()
		other := jane()
		other.Extra["authentication.kubernetes.io/credential-id"] = []string{"JTI=1"}
		if _, err := checker.Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), other); err != nil || len(reviewer.asked) != 2 {
			t.Errorf("with another credential: %d reviews, %v", len(reviewer.asked), err)
		}
		<-time.After(10*time.Second + time.Nanosecond) // of the bubble's clock
		if n := check(); n != 2 {
			t.Errorf("after 10s: %d reviews", n)
		}
	})
	reviewer := &cluster{every: true}
	checker := newChecker(t, impersonation.Config{Reviewer: reviewer, LegacyOnly: true})
	for range 3 {
		if _, err := checker.Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane()); err != nil {
			t.Fatal(err)
		}
	}
	if len(reviewer.asked) != 3 {
		t.Errorf("legacy: %d reviews for 3 requests", len(reviewer.asked))
	}
}

// TestMemoryOfModes: IMP-12, what succeeded in legacy mode once is tried there first.
func TestMemoryOfModes(t *testing.T) {
	reviewer := &cluster{allows: []string{"impersonate users bob"}}
	checker := newChecker(t, impersonation.Config{Reviewer: reviewer})
	for i, want := range []int{2, 1} {
		reviewer.reset()
		if _, err := checker.Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane()); err != nil || len(reviewer.asked) != want {
			t.Errorf("request %d: %v, %v", i, reviewer.asked, err)
		}
	}
}

func TestBound(t *testing.T) {
	headers := []string{"Impersonate-User: bob"}
	for i := range 1000 {
		headers = append(headers, fmt.Sprintf("Impersonate-Group: g%d", i))
	}
	for _, legacyOnly := range []bool{false, true} {
		reviewer := &cluster{answer: func(_ context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
			return spec.ResourceAttributes.Name != "*", "", nil
		}}
		checker := newChecker(t, impersonation.Config{Reviewer: reviewer, LegacyOnly: legacyOnly})
		_, err := checker.Check(newRequest(t.Context(), t, pods, headers...), jane())
		checkRefusal(t, err, 403, "more than 100 access reviews")
		if len(reviewer.asked) != impersonation.DefaultMaxReviews {
			t.Errorf("attack 29, 1000 groups: %d reviews", len(reviewer.asked))
		}
	}
	reviewer := &cluster{every: true}
	if _, err := newChecker(t, impersonation.Config{Reviewer: reviewer, MaxReviews: 3}).Check(newRequest(t.Context(), t, pods, headers...), jane()); err != nil || len(reviewer.asked) != 3 {
		t.Errorf("IMP-10, a wildcard needs 3 reviews: %d, %v", len(reviewer.asked), err)
	}
}

// TestFailedReviewRefuses: attack 29. A failed review ends the attempt, also where a later mode would have allowed it.
func TestFailedReviewRefuses(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.1:6443: connection refused")
	reviewer := &cluster{answer: func(_ context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
		if spec.ResourceAttributes.Verb == "impersonate" {
			return true, "", nil
		}
		return true, "", cause // an error counts more than the yes beside it
	}}
	_, err := newChecker(t, impersonation.Config{Reviewer: reviewer}).Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane())
	checkRefusal(t, err, 503, "")
	if !errors.Is(err, cause) {
		t.Errorf("the log does not learn the cause: %v", err)
	}
	if status, _ := asStatus(err); strings.Contains(status.ErrStatus.Message, "10.0.0.1") || status.ErrStatus.Details.RetryAfterSeconds != 1 {
		t.Errorf("the client is told %+v", status.ErrStatus)
	}
	if len(reviewer.asked) != 1 {
		t.Errorf("asked on after a failure: %v", reviewer.asked)
	}
}

// TestDeniedNamesTheReason: what the cluster says is passed on, as kube-apiserver would.
func TestDeniedNamesTheReason(t *testing.T) {
	reviewer := &cluster{answer: func(context.Context, authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
		return false, "no rule for you", nil
	}}
	_, err := newChecker(t, impersonation.Config{Reviewer: reviewer}).Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane())
	checkRefusal(t, err, 403, `in the namespace "ns": no rule for you`)
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting := &cluster{answer: func(ctx context.Context, _ authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
			<-ctx.Done()
			return true, "", nil // too late
		}}
		began := time.Now()
		_, err := newChecker(t, impersonation.Config{Reviewer: waiting}).Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane())
		checkRefusal(t, err, 503, "")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != impersonation.DefaultTimeout || len(waiting.asked) != 1 {
			t.Errorf("attack 29, a review hangs: %v after %s and %d reviews", err, time.Since(began), len(waiting.asked))
		}
	})
}

func TestClientHangsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reviewer := &cluster{answer: func(context.Context, authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
		cancel()
		return true, "", nil
	}}
	_, err := newChecker(t, impersonation.Config{Reviewer: reviewer}).Check(newRequest(ctx, t, pods, "Impersonate-User: bob"), jane())
	checkRefusal(t, err, 503, "")
	if !errors.Is(err, context.Canceled) || len(reviewer.asked) != 1 {
		t.Errorf("attack 29, the client hangs up: %v after %d reviews", err, len(reviewer.asked))
	}
}

func TestConcurrency(t *testing.T) {
	const bound = 3
	var mu sync.Mutex
	running, most := 0, 0
	synctest.Test(t, func(t *testing.T) {
		reviewer := &cluster{answer: func(context.Context, authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-time.After(time.Millisecond) // of the bubble's clock
			mu.Lock()
			running--
			mu.Unlock()
			return true, "", nil
		}}
		checker := newChecker(t, impersonation.Config{Reviewer: reviewer, Concurrency: bound, LegacyOnly: true})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, err := checker.Check(newRequest(t.Context(), t, pods, "Impersonate-User: bob"), jane()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
	if most != bound {
		t.Errorf("%d reviews at one time, want %d", most, bound)
	}
}

// FuzzScreen: what Screen lets pass has one reading, and Kubernetes' own is the plain one.
func FuzzScreen(f *testing.F) {
	f.Add("Impersonate-User: a\r\nImpersonate-Group: b\r\n")
	f.Add("impersonate-user: a\r\nimpersonate-extra-acme.com%2Fx: b\r\nImpersonate-Extra-%61: c\r\n")
	f.Add("Impersonate_User: a\r\nImpersonate-Uid: 1\r\nImpersonate-Extra-: x\r\n")
	factory := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	f.Fuzz(func(t *testing.T, lines string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /api HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n")))
		if err != nil {
			return
		}
		screened := impersonation.Screen(r.Header)
		info, err := factory.NewRequestInfo(r)
		if err != nil {
			return
		}
		checker := newChecker(t, impersonation.Config{Reviewer: &cluster{every: true}, MaxReviews: 1 << 20})
		requester := jane()
		got, err := checker.Check(r.WithContext(request.WithRequestInfo(t.Context(), info)), requester)
		if (err == nil) != (screened == nil) {
			t.Fatalf("Screen = %v, Check = %v", screened, err)
		}
		if err != nil {
			return
		}
		asked := false
		for name, values := range r.Header {
			folded := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
			if !strings.HasPrefix(folded, "impersonate") {
				continue
			}
			asked = true
			if key, ok := strings.CutPrefix(folded, "impersonate-extra-"); ok && !strings.Contains(key, "%") && !cmp.Equal(got.Extra[key], values) {
				t.Errorf("extra %q: %q, want %q", key, got.Extra[key], values)
			}
		}
		if !asked {
			if got != requester {
				t.Error("nobody was asked for")
			}
			return
		}
		if users := r.Header["Impersonate-User"]; len(users) != 1 || users[0] == "" || got.Username != users[0] {
			t.Errorf("user = %q, headers %q", got.Username, users)
		}
		if got.UID != r.Header.Get("Impersonate-Uid") || got.Extra[impersonation.OriginalUserExtra][0] != "jane" || got.Extra["department"] != nil {
			t.Errorf("identity = %+v", got)
		}
	})
}
