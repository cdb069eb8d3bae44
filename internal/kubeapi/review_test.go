package kubeapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/ostiary/ostiary/internal/kubeapi"
)

// spec is a question with everything in it.
func spec() authorizationv1.SubjectAccessReviewSpec {
	return authorizationv1.SubjectAccessReviewSpec{
		User: "jane", UID: "1", Groups: []string{"dev"}, Extra: map[string]authorizationv1.ExtraValue{"k": {"v"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: "users", Name: "bob", Version: "v1"},
	}
}

func TestReview(t *testing.T) {
	tests := []struct {
		name    string
		status  authorizationv1.SubjectAccessReviewStatus
		allowed bool
		reason  string
	}{
		{name: "zero", status: authorizationv1.SubjectAccessReviewStatus{}},
		{name: "not allowed", status: authorizationv1.SubjectAccessReviewStatus{Reason: "no rule"}, reason: "no rule"},
		{name: "attack 29 denied", status: authorizationv1.SubjectAccessReviewStatus{Denied: true, Reason: "never"}, reason: "never"},
		{name: "attack 29 allowed and denied", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true}},
		{name: "attack 29 evaluation error", status: authorizationv1.SubjectAccessReviewStatus{EvaluationError: "webhook down"}, reason: "webhook down"},
		{name: "evaluation error with a reason", status: authorizationv1.SubjectAccessReviewStatus{EvaluationError: "webhook down", Reason: "no rule"}, reason: "webhook down: no rule"},
		{name: "allowed", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "RBAC"}, allowed: true, reason: "RBAC"},
		{name: "allowed in spite of an error elsewhere", status: authorizationv1.SubjectAccessReviewStatus{Allowed: true, EvaluationError: "x"}, allowed: true},
	}
	scheme := runtime.NewScheme()
	if err := authorizationv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme).UniversalDeserializer()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := serve(t, func(w http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body)
				object, _, err := decoder.Decode(data, nil, nil)
				review, ok := object.(*authorizationv1.SubjectAccessReview)
				if err != nil || !ok || !cmp.Equal(review.Spec, spec()) {
					t.Errorf("asked: %v, %v", object, err)
				}
				if r.Method+r.URL.Path != "POST/apis/authorization.k8s.io/v1/subjectaccessreviews" || r.Header.Get("Authorization") != "Bearer gate-token" {
					t.Errorf("asked at %s %s as %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				answer := authorizationv1.SubjectAccessReview{Status: test.status}
				answer.APIVersion, answer.Kind = "authorization.k8s.io/v1", "SubjectAccessReview"
				_ = json.NewEncoder(w).Encode(answer)
			})
			allowed, reason, err := a.access(t).Reviewer().Review(t.Context(), spec())
			if err != nil || allowed != test.allowed || reason != test.reason {
				t.Errorf("Review = %t, %q, %v", allowed, reason, err)
			}
		})
	}
}

func TestReviewFails(t *testing.T) {
	const allowing = `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":true}}`
	var asked atomic.Int32
	tests := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{name: "not allowed to review", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "forbidden", http.StatusForbidden) }},
		{name: "credential not accepted", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Unauthorized", http.StatusUnauthorized) }},
		{name: "no such API", handler: http.NotFound},
		{name: "internal error that says yes", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, allowing, http.StatusInternalServerError) }},
		{name: "too busy, without retries", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy", http.StatusTooManyRequests)
		}},
		{name: "redirect elsewhere", handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://192.0.2.1/", http.StatusTemporaryRedirect)
		}},
		{name: "not an answer", handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "yes") }},
		{name: "cut answer", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, allowing[:len(allowing)-1])
		}},
		{name: "no answer", handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked.Store(0)
			a := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				test.handler(w, r)
			})
			allowed, _, err := a.access(t).Reviewer().Review(t.Context(), spec())
			if allowed || !errors.Is(err, kubeapi.ErrReview) || asked.Load() > 1 {
				t.Errorf("Review = %t, %v after %d requests", allowed, err, asked.Load())
			}
		})
	}
	if allowed, _, err := (kubeapi.Reviewer{}).Review(t.Context(), spec()); allowed || !errors.Is(err, kubeapi.ErrReview) {
		t.Errorf("zero value: %t, %v", allowed, err)
	}
}

// TestAnswerOfAnotherKind: a yes to another question is none.
func TestAnswerOfAnotherKind(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","status":{"allowed":true}}`)
	})
	if allowed, _, _ := a.access(t).Reviewer().Review(t.Context(), spec()); allowed {
		t.Error("allowed")
	}
}

func TestReviewEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if allowed, _, err := a.access(t).Reviewer().Review(ctx, spec()); allowed || !errors.Is(err, context.Canceled) {
		t.Errorf("attack 29: %t, %v", allowed, err)
	}
}

func TestProbe(t *testing.T) {
	tests := []struct {
		name string
		code int
		want error
	}{
		{name: "ready", code: 200},
		{name: "may not see it", code: 403},
		{name: "credential not accepted", code: 401, want: kubeapi.ErrUnauthorized},
		{name: "not ready", code: 500, want: kubeapi.ErrNotReady},
		{name: "overloaded", code: 429, want: kubeapi.ErrNotReady},
		{name: "no API server", code: 404, want: kubeapi.ErrNotReady},
		{name: "redirect", code: 302, want: kubeapi.ErrNotReady},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "Bearer gate-token" {
					t.Errorf("probed %s as %q", r.URL.Path, r.Header.Get("Authorization"))
				}
				w.Header().Set("Location", "/other")
				w.WriteHeader(test.code)
			})
			err := a.access(t).Probe(t.Context())
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("Probe = %v", err)
			}
		})
	}
	gone := serve(t, nil)
	access := gone.access(t)
	gone.Close()
	if err := access.Probe(t.Context()); !errors.Is(err, kubeapi.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}
