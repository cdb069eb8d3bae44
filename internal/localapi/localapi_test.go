package localapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/localapi"
)

// allowed are the rights that somebody has, as "verb resource/subresource name".
type allowed []string

func (a allowed) Authorize(_ context.Context, _ *identity.Identity, access localapi.Access) (bool, string, error) {
	return slices.Contains(a, access.Verb+" "+access.Resource+"/"+access.Subresource+" "+access.Name), "", nil
}

// TestBesides wants every right that a request takes.
func TestBesides(t *testing.T) {
	t.Parallel()
	route := localapi.Route{
		Method: http.MethodPost, Access: localapi.Access{Verb: "create", Resource: "things", Name: "one"},
		Besides: []localapi.Access{{Verb: "create", Resource: "things", Subresource: "parts", Name: "a"}, {Verb: "create", Resource: "things", Subresource: "parts", Name: "b"}},
	}
	for name, test := range map[string]struct {
		has    allowed
		status int
		says   string
	}{
		"all":           {allowed{"create things/ one", "create things/parts a", "create things/parts b"}, http.StatusOK, ""},
		"all but one":   {allowed{"create things/ one", "create things/parts a"}, http.StatusForbidden, `\"things/parts\" in API group \"ostiary.dev\" at the cluster scope, named \"b\"`},
		"but the first": {allowed{"create things/parts a", "create things/parts b"}, http.StatusForbidden, `\"things\"`},
		"none":          {nil, http.StatusForbidden, `\"things\"`},
	} {
		done := false
		route.Serve = func(*localapi.Exchange) { done = true }
		guard := localapi.Guard{Authorizer: test.has, Hub: func() string { return "prod" }}
		answer := httptest.NewRecorder()
		guard.Serve(&localapi.Exchange{
			W: answer, R: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil),
			Caller: gateway.Caller{Identity: &identity.Identity{Username: "jane", Groups: []string{identity.GroupAuthenticated}}, Cluster: &gateway.Cluster{Name: "prod"}},
		}, []localapi.Route{route})
		if answer.Code != test.status || done != (test.status == http.StatusOK) || !strings.Contains(answer.Body.String(), test.says) {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

// TestStrict reads one object, and nothing behind it.
func TestStrict(t *testing.T) {
	t.Parallel()
	type thing struct {
		Name string `json:"name"`
	}
	for text, good := range map[string]bool{
		`{"name":"x"}`: true, ` {"name":"x"} ` + "\n": true, `{"name":"x"}{}`: false, `{"name":"x"}}`: false, `{"name":"x"}]`: false, `{"name":"x"} x`: false, `{"nam":"x"}`: false, ``: false,
	} {
		if err := localapi.Strict([]byte(text), new(thing)); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
