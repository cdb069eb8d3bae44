package ledgerapi_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/ledgerapi"
	"github.com/ostiary/ostiary/internal/localapi"
)

// openNames hides nothing.
type openNames struct{}

func (openNames) Hide(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// rbac allows what it is told to.
type rbac struct {
	allows func(localapi.Access) (bool, error)
}

func (r rbac) Authorize(_ context.Context, _ *identity.Identity, access localapi.Access) (bool, string, error) {
	allowed, err := r.allows(access)
	return allowed, "", err
}

// bed is an API over a ledger of its own.
type bed struct {
	api     *ledgerapi.API
	ledger  *ledger.Ledger
	streams []*authn.Credential
	caller  gateway.Caller
	allows  atomic.Pointer[func(localapi.Access) (bool, error)]
}

func newBed(t *testing.T) *bed {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	store, b := ledgertest.Open(t, filepath.Join(t.TempDir(), "store")), &bed{}
	var err error
	b.ledger, err = ledger.New(ledger.Config{Store: store, Names: openNames{}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	ledgertest.StartFresh(t, b.ledger)
	everything := func(localapi.Access) (bool, error) { return true, nil }
	b.allows.Store(&everything)
	b.api, err = ledgerapi.New(ledgerapi.Config{
		Ledger: b.ledger, Hub: func() string { return "prod" },
		Authorizer: rbac{func(access localapi.Access) (bool, error) { return (*b.allows.Load())(access) }},
		Streams: func(matches ledgerapi.Matches) (found []gateway.StreamInfo) {
			for _, cred := range b.streams {
				if matches(cred) {
					found = append(found, gateway.StreamInfo{RequestID: cred.ID.Value, Username: cred.Identity.Username, Mechanism: cred.Mechanism, Verb: "watch", Resource: "pods"})
				}
			}
			return found
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	guard := jwt("guard", "guard-1")
	b.caller = gateway.Caller{
		Identity: &guard.Identity, Credential: guard, Cluster: &gateway.Cluster{Name: "prod"}, Source: "192.0.2.1",
		Open: func() (context.Context, error) { return t.Context(), nil },
	}
	return b
}

func jwt(user, jti string) *authn.Credential {
	return &authn.Credential{
		ID: identity.CredentialID{Issuer: "https://issuer.example", Value: "JTI=" + jti}, Mechanism: identity.JWT,
		Identity: identity.Identity{Username: user}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
}

// ask sends a request and returns the answer.
func (b *bed) ask(t *testing.T, method, target, body string, header ...string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	caller := b.caller
	caller.Path = r.URL.Path
	if !b.api.ServeLocal(w, r, caller) {
		return 0, ""
	}
	return w.Code, w.Body.String()
}

func revocation(spec string) string {
	return `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Revocation","spec":` + spec + `}`
}

// judge is what a request with the credential is told.
func (b *bed) judge(cred *authn.Credential) error {
	return b.ledger.Judge(&authn.Request{Source: netip.MustParseAddr("192.0.2.9"), Cluster: "prod", Now: time.Now()}, cred)
}

const (
	revocations = adminapi.RevocationsPath
	credentials = adminapi.CredentialsPath
)

// TestRefusals: what is not meant exactly so is not done.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	alice := `{"target":{"user":"alice"},"reason":"left"}`
	for _, tt := range []struct {
		name, method, target, body string
		header                     []string
		code                       int
		says                       string
	}{
		{name: "unknown field", method: "POST", target: revocations, body: revocation(`{"target":{"user":"alice"},"reason":"x","unless":"never"}`), code: 400, says: "unless"},
		{name: "doubled object", method: "POST", target: revocations, body: revocation(alice) + revocation(alice), code: 400},
		{name: "another kind", method: "POST", target: revocations, body: `{"apiVersion":"v1","kind":"Pod"}`, code: 400},
		{name: "no body", method: "POST", target: revocations, code: 400},
		{name: "no target", method: "POST", target: revocations, body: revocation(`{"target":{},"reason":"x"}`), code: 400, says: "exactly one"},
		{name: "two targets", method: "POST", target: revocations, body: revocation(`{"target":{"user":"a","mechanism":"jwt"},"reason":"x"}`), code: 400, says: "exactly one"},
		{name: "no reason", method: "POST", target: revocations, body: revocation(`{"target":{"user":"alice"}}`), code: 422, says: "reason"},
		{name: "unknown scope", method: "POST", target: revocations, body: revocation(`{"target":{"user":"alice"},"reason":"x","scope":"some"}`), code: 400, says: "scope"},
		{name: "unknown parameter", method: "POST", target: revocations + "?force=true", body: revocation(alice), code: 400, says: "force"},
		{name: "oneself", method: "POST", target: revocations, body: revocation(`{"target":{"user":"guard"},"reason":"oops"}`), code: 409, says: "credential that asks"},
		{name: "oneself in a list", method: "POST", target: revocations, body: `{"apiVersion":"ostiary.dev/v1alpha1","kind":"RevocationList","items":[{"spec":` + alice + `},{"spec":{"target":{"mechanism":"jwt"},"reason":"x"}}]}`, code: 409, says: "items[1]"},
		{name: "empty list", method: "POST", target: revocations, body: `{"apiVersion":"ostiary.dev/v1alpha1","kind":"RevocationList","items":[]}`, code: 400},
		{name: "impersonation", method: "POST", target: revocations, body: revocation(alice), header: []string{"Impersonate-User", "admin"}, code: 400, says: "impersonation"},
		{name: "delete", method: "DELETE", target: revocations + "/r-aaaaaaaaaa", code: 405},
		{name: "unknown revocation", method: "GET", target: revocations + "/r-aaaaaaaaaa", code: 404},
		{name: "name that is none", method: "GET", target: revocations + "/r-AAAAAAAAAA", code: 404},
		{name: "lift of nothing", method: "POST", target: revocations + "/r-aaaaaaaaaa/lift", body: `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Lift","reason":"x"}`, code: 404},
		{name: "unknown subresource", method: "POST", target: revocations + "/r-aaaaaaaaaa/extend", code: 405},
		{name: "limit of none", method: "GET", target: revocations + "?limit=0", code: 400},
		{name: "limit of too many", method: "GET", target: credentials + "?limit=1001", code: 400},
		{name: "unknown state", method: "GET", target: credentials + "?state=dead", code: 400},
		{name: "time that is none", method: "GET", target: credentials + "?unusedSince=yesterday", code: 400},
		{name: "watch from nowhere", method: "GET", target: credentials + "?watch=true", code: 400, says: "resourceVersion"},
		{name: "unknown credential", method: "GET", target: credentials + "/00", code: 404},
		{name: "credential of no mechanism", method: "POST", target: credentials, body: `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Credential","spec":{"id":"JTI=1","mechanism":"password","username":"a"}}`, code: 422},
		{name: "credential without an id", method: "POST", target: credentials, body: `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Credential","spec":{"mechanism":"jwt","username":"a"}}`, code: 422},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, body := b.ask(t, tt.method, tt.target, tt.body, tt.header...)
			if code != tt.code || !strings.Contains(body, tt.says) || !strings.Contains(body, `"kind":"Status"`) {
				t.Errorf("%d %s", code, body)
			}
		})
	}
	if err := b.judge(jwt("alice", "1")); err != nil {
		t.Errorf("something was revoked all the same: %v", err)
	}
	if code, _ := b.ask(t, "GET", "/apis/ostiary.dev/v1alpha1/other", ""); code != 0 {
		t.Error("answers for what is not the API's")
	}
}

// TestRights: every request needs its own right, under the hub's name, of somebody who is known.
func TestRights(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, tt := range []struct{ method, target, want string }{
		{"GET", revocations, "list revocations//"},
		{"GET", revocations + "?watch=true&resourceVersion=1", "watch revocations//"},
		{"POST", revocations, "create revocations//"},
		{"GET", revocations + "/r-aaaaaaaaaa", "get revocations//r-aaaaaaaaaa"},
		{"POST", revocations + "/r-aaaaaaaaaa/lift", "create revocations/lift/r-aaaaaaaaaa"},
		{"GET", credentials, "list credentials//"},
		{"POST", credentials, "create credentials//"},
		{"GET", credentials + "/ab", "get credentials//ab"},
		{"GET", adminapi.StreamsPath, "list streams//"},
	} {
		var asked string
		nothing := func(a localapi.Access) (bool, error) { //nolint:unparam // as unknown, below
			asked = fmt.Sprintf("%s %s/%s/%s", a.Verb, a.Resource, a.Subresource, a.Name)
			return false, nil
		}
		b.allows.Store(&nothing)
		if code, body := b.ask(t, tt.method, tt.target, ""); code != http.StatusForbidden || asked != tt.want || !strings.Contains(body, "cannot") {
			t.Errorf("%s %s: %d, asked for %q, want %q", tt.method, tt.target, code, asked, tt.want)
		}
		unknown := func(localapi.Access) (bool, error) { return true, errors.New("the cluster is gone") }
		b.allows.Store(&unknown)
		if code, body := b.ask(t, tt.method, tt.target, ""); code != http.StatusServiceUnavailable || strings.Contains(body, "gone") {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, code, body)
		}
	}
	b.caller.Cluster = &gateway.Cluster{Name: "other"}
	if code, _ := b.ask(t, "GET", revocations, ""); code != http.StatusNotFound {
		t.Errorf("another cluster: %d", code)
	}
	b.caller.Identity = &identity.Identity{Username: identity.Anonymous, Groups: []string{identity.GroupUnauthenticated}}
	if code, _ := b.ask(t, "GET", revocations, ""); code != http.StatusUnauthorized {
		t.Errorf("nobody: %d", code)
	}
}

// TestRevokeAndLift is the life of a revocation, and of a dry run.
func TestRevokeAndLift(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	cred := jwt("alice", "1")
	b.streams = []*authn.Credential{cred, jwt("bob", "2")}
	body := revocation(`{"target":{"user":"alice"},"reason":"left"}`)
	code, answer := b.ask(t, "POST", revocations+"?dryRun=All", body)
	if code != http.StatusOK || !strings.Contains(answer, `"wouldCut":[{"requestID":"JTI=1"`) || strings.Contains(answer, "JTI=2") {
		t.Errorf("%d %s", code, answer)
	}
	if err := b.judge(cred); err != nil {
		t.Fatalf("a dry run revoked: %v", err)
	}
	code, answer = b.ask(t, "POST", revocations, body)
	var made adminapi.Revocation
	if err := json.Unmarshal([]byte(answer), &made); err != nil || code != http.StatusCreated {
		t.Fatalf("%d %s %v", code, answer, err)
	}
	if made.Status.InForce == nil || !made.Status.InForce.Complete || made.Status.Actor.Username != "guard" || made.Status.Actor.Source != "192.0.2.1" {
		t.Errorf("made %+v", made)
	}
	if err := b.judge(cred); !errors.Is(err, ledger.ErrRevoked) {
		t.Errorf("judged %v", err)
	}
	lift := `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Lift","reason":"back"}`
	for i, want := range []int{http.StatusOK, http.StatusConflict} {
		if code, answer := b.ask(t, "POST", revocations+"/"+made.Metadata.Name+"/lift", lift); code != want {
			t.Errorf("lift %d: %d %s", i, code, answer)
		}
	}
	if code, answer := b.ask(t, "GET", revocations, ""); code != http.StatusOK || strings.Contains(answer, made.Metadata.Name) {
		t.Errorf("%d %s", code, answer)
	}
	if code, answer := b.ask(t, "GET", revocations+"?past=true", ""); code != http.StatusOK || !strings.Contains(answer, "back") {
		t.Errorf("%d %s", code, answer)
	}
}

// TestPages: lists come in pages that miss nothing, and filters hold over all of them.
func TestPages(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const all = 25
	for i := range all {
		user := "alice"
		if i%5 == 0 {
			user = "bob"
		}
		if err := b.judge(jwt(user, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if code, answer := b.ask(t, "POST", revocations, revocation(fmt.Sprintf(`{"target":{"user":"user-%d"},"reason":"left"}`, i))); code != http.StatusCreated {
			t.Fatalf("%d %s", code, answer)
		}
	}
	for _, tt := range []struct {
		path, query string
		want        int
	}{{credentials, "user=alice", 20}, {credentials, "user=bob&state=active", 5}, {credentials, "mechanism=jwt", all}, {credentials, "state=expired", 0}, {revocations, "", all}} {
		seen := map[string]bool{}
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		query.Set("limit", "4")
		for pages := 0; ; pages++ {
			code, answer := b.ask(t, "GET", tt.path+"?"+query.Encode(), "")
			var page struct {
				Metadata struct{ Continue, ResourceVersion string }
				Items    []struct{ Metadata struct{ Name string } }
			}
			if err := json.Unmarshal([]byte(answer), &page); err != nil || code != http.StatusOK || pages > all {
				t.Fatalf("%d %s %v", code, answer, err)
			}
			for _, item := range page.Items {
				seen[item.Metadata.Name] = true
			}
			if page.Metadata.Continue == "" {
				if page.Metadata.ResourceVersion == "" {
					t.Errorf("%s?%s: no watch can go on from the last page", tt.path, tt.query)
				}
				break
			}
			query.Set("continue", page.Metadata.Continue)
		}
		if len(seen) != tt.want {
			t.Errorf("%s?%s: %d items, want %d", tt.path, tt.query, len(seen), tt.want)
		}
	}
	code, answer := b.ask(t, "GET", credentials+"?id=JTI%3D3&issuer="+url.QueryEscape("https://issuer.example"), "")
	if code != http.StatusOK || strings.Count(answer, `"mechanism"`) != 1 {
		t.Errorf("%d %s", code, answer)
	}
}

// TestWatch: a watch goes on where a list ended, and tells of what is made and lifted.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := b.caller
		caller.Path = r.URL.Path
		caller.Open = func() (context.Context, error) { return r.Context(), nil }
		b.api.ServeLocal(w, r, caller) //nolint:contextcheck // the request has it
	}))
	t.Cleanup(server.Close)
	_, answer := b.ask(t, "GET", revocations, "")
	var list adminapi.RevocationList
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+revocations+"?watch=true&resourceVersion="+list.Metadata.ResourceVersion, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	next := func() (event struct {
		Type   string
		Object adminapi.Revocation
	},
	) {
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &event) != nil {
			t.Fatalf("%q: %v", lines.Text(), lines.Err())
		}
		return event
	}
	_, answer = b.ask(t, "POST", revocations, revocation(`{"target":{"user":"alice"},"reason":"left"}`))
	var made adminapi.Revocation
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		t.Fatal(err)
	}
	if event := next(); event.Type != adminapi.EventAdded || event.Object.Metadata.Name != made.Metadata.Name {
		t.Errorf("%+v", event)
	}
	b.ask(t, "POST", revocations+"/"+made.Metadata.Name+"/lift", `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Lift","reason":"back"}`)
	if event := next(); event.Type != adminapi.EventDeleted || event.Object.Status.Lifted == nil || event.Object.Status.Lifted.Reason != "back" {
		t.Errorf("%+v", event)
	}
}

// FuzzBodies: whatever is sent is answered with a Status or an object, and nothing panics.
func FuzzBodies(f *testing.F) {
	f.Add(revocation(`{"target":{"user":"alice"},"reason":"left"}`))
	f.Add(revocation(`{"target":{"certificate":{"serial":"0x00:AB","issuer":"CN=x"}},"reason":"x","until":"2099-01-01T00:00:00Z"}`))
	f.Add(`{"apiVersion":"ostiary.dev/v1alpha1","kind":"RevocationList","items":[{}]}`)
	f.Add(`{"apiVersion":"ostiary.dev/v1alpha1","kind":"CredentialList","items":[{"spec":{"id":"JTI=1"}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		b := &bed{}
		logger := slog.New(slog.DiscardHandler)
		var err error
		// A ledger that never runs writes nothing.
		if b.ledger, err = ledger.New(ledger.Config{Store: never{}, Names: openNames{}, Logger: logger}); err != nil {
			t.Fatal(err)
		}
		b.api, err = ledgerapi.New(ledgerapi.Config{
			Ledger: b.ledger, Hub: func() string { return "prod" }, Authorizer: rbac{func(localapi.Access) (bool, error) { return true, nil }},
			Streams: func(ledgerapi.Matches) []gateway.StreamInfo { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		guard := jwt("guard", "guard-1")
		b.caller = gateway.Caller{Identity: &guard.Identity, Credential: guard, Cluster: &gateway.Cluster{Name: "prod"}}
		code, answer := b.ask(t, "POST", revocations+"?dryRun=All", body)
		var meta adminapi.TypeMeta
		if err := json.Unmarshal([]byte(answer), &meta); err != nil || meta.Kind == "" || code < 200 || code > 599 {
			t.Errorf("%d %s %v", code, answer, err)
		}
	})
}

// never is a store that is lost.
type never struct{ ledger.Store }

func (never) Read(context.Context, string) (ledger.Record, error) {
	return ledger.Record{}, errors.New("lost")
}

func (never) Commit(context.Context, ledger.Transaction) (int64, error) { return 0, errors.New("lost") }
