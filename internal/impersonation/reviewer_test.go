package impersonation_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
)

// cluster is a Reviewer that allows exactly the questions it lists, and remembers what it was asked. With every set it
// allows everything.
type cluster struct {
	allows []string
	every  bool
	answer func(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, string, error) // instead

	mu    sync.Mutex
	asked []string
	specs []authorizationv1.SubjectAccessReviewSpec
}

func (c *cluster) Review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
	q := question(spec)
	c.mu.Lock()
	c.asked, c.specs = append(c.asked, q), append(c.specs, spec)
	c.mu.Unlock()
	if c.answer != nil {
		return c.answer(ctx, spec)
	}
	return c.every || slices.Contains(c.allows, q), "", nil
}

// reset forgets what was asked.
func (c *cluster) reset() { c.asked, c.specs = nil, nil }

// question writes a review as "verb resource[/subresource][.group] [namespace/]name", or "verb path".
func question(spec authorizationv1.SubjectAccessReviewSpec) string {
	if n := spec.NonResourceAttributes; n != nil {
		return n.Verb + " " + n.Path
	}
	a := spec.ResourceAttributes
	text := a.Verb + " " + a.Resource
	if a.Subresource != "" {
		text += "/" + a.Subresource
	}
	if a.Group != "" {
		text += "." + a.Group
	}
	name := a.Name
	if a.Namespace != "" {
		name = a.Namespace + "/" + name
	}
	if name != "" {
		text += " " + name
	}
	if a.FieldSelector != nil {
		text += fmt.Sprintf(" fields=%v", a.FieldSelector.Requirements)
	}
	if a.LabelSelector != nil {
		text += fmt.Sprintf(" labels=%v", a.LabelSelector.Requirements)
	}
	return text
}

// jane is the usual requester.
func jane() *identity.Identity {
	return &identity.Identity{Username: "jane", UID: "1", Groups: []string{"dev", "system:authenticated"}, Extra: map[string][]string{
		"authentication.kubernetes.io/credential-id": {"JTI=4711"}, "department": {"d"},
	}}
}

// newRequest returns a request for target with headers given as "Name: value", and its attributes in the context.
func newRequest(ctx context.Context, t testing.TB, target string, headers ...string) *http.Request {
	t.Helper()
	method, path, found := strings.Cut(target, " ")
	if !found {
		method, path = http.MethodGet, target
	}
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	factory := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := factory.NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(request.WithRequestInfo(ctx, info))
}

// newChecker returns a Checker, or ends the test.
func newChecker(t testing.TB, config impersonation.Config) *impersonation.Checker {
	t.Helper()
	c, err := impersonation.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
