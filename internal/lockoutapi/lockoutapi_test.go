package lockoutapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/accesslog"
	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/lockout"
	"github.com/ostiary/ostiary/internal/lockoutapi"
	"github.com/ostiary/ostiary/internal/secret"
)

const (
	list, explain    = adminapi.LockoutsPath, adminapi.RefusalsPath + "/"
	attacker, others = "203.0.113.7", "198.51.100.1"
)

// rbac allows what it is told to, and remembers what it was asked.
type rbac struct {
	allow bool
	err   error
	asked []localapi.Access
}

func (r *rbac) Authorize(_ context.Context, _ *identity.Identity, access localapi.Access) (bool, string, error) {
	r.asked = append(r.asked, access)
	return r.allow, "", r.err
}

// bed is an API over an engine that has locked a prefix and a pair.
type bed struct {
	api    *lockoutapi.API
	engine *lockout.Engine
	recent *accesslog.Recent
	rbac   rbac
	// fails is what becomes of an unlock; enforced and changed are those that came that far.
	fails    error
	enforced []lockout.Unlock
	changed  []lockout.Change
	user     string
	cluster  string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{rbac: rbac{allow: true}, recent: accesslog.NewRecent(), user: "guard", cluster: "prod"}
	var err error
	if b.engine, err = lockout.New(lockout.Config{Settings: lockout.Defaults(), Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	b.api, err = lockoutapi.New(lockoutapi.Config{
		Engine: b.engine, Recent: b.recent, Authorizer: &b.rbac, Hub: func() string { return "prod" },
		Enforce: func(_ context.Context, lock *lockout.Lock, unlock lockout.Unlock) (*ledger.InForce, error) {
			b.enforced = append(b.enforced, unlock)
			if b.fails != nil {
				return nil, b.fails
			}
			b.engine.Release(lock)
			return &ledger.InForce{Replicas: map[string]ledger.ReplicaState{"one": ledger.Applied}}, nil
		},
		Changed: func(change lockout.Change) { b.changed = append(b.changed, change) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b.guess(t, attacker, fmt.Sprintf("password-%d", i))
	}
	for i := range 5 {
		b.guess(t, others, fmt.Sprintf("victim.%016d", i))
	}
	return b
}

// guess presents a wrong token.
func (b *bed) guess(t *testing.T, source, token string) {
	t.Helper()
	r := &authn.Request{Source: netip.MustParseAddr(source), Cluster: "prod"}
	attempt, err := b.engine.Enter(t.Context(), r, secret.New(token))
	if err != nil {
		t.Fatal(err)
	}
	b.engine.Leave(r, secret.New(token), attempt, authn.Ending{})
}

// ask sends a request; 0 says that the API does not know the path.
func (b *bed) ask(t *testing.T, method, target, body string) (code int, answer string) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	who := &identity.Identity{Username: b.user}
	caller := gateway.Caller{Identity: who, Cluster: &gateway.Cluster{Name: b.cluster}, Path: r.URL.Path}
	if !b.api.ServeLocal(w, r, caller) {
		return 0, ""
	}
	return w.Code, w.Body.String()
}

// locks lists what is locked.
func (b *bed) locks(t *testing.T, query string) adminapi.LockoutList {
	t.Helper()
	code, body := b.ask(t, http.MethodGet, list+query, "")
	var answer adminapi.LockoutList
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d %s", query, code, body)
	}
	return answer
}

func unlocking(reason string) string {
	text, _ := json.Marshal(map[string]string{"apiVersion": adminapi.GroupVersion, "kind": adminapi.UnlockRequestKind, "reason": reason})
	return string(text)
}

// TestList: locks are listed, those that end last first, and found by their source and by the id that was claimed.
func TestList(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"", []string{"pair " + others + "/32 BOOTSTRAP=victim", "prefix " + attacker + "/32 "}},
		{"?source=" + attacker, []string{"prefix " + attacker + "/32 "}},
		{"?source=::ffff:" + attacker, []string{"prefix " + attacker + "/32 "}},
		{"?source=192.0.2.1", nil},
		{"?credentialID=BOOTSTRAP%3Dvictim", []string{"pair " + others + "/32 BOOTSTRAP=victim"}},
		{"?credentialID=BOOTSTRAP%3Dvictim&source=" + attacker, nil},
	} {
		var got []string
		for _, one := range b.locks(t, tt.query).Items {
			got = append(got, one.Status.Kind+" "+one.Status.Source+" "+one.Status.CredentialID)
			if !lockout.IsName(one.Metadata.Name) || time.Until(one.Status.Until) < time.Minute || one.Kind != adminapi.LockoutKind {
				t.Errorf("%s: %+v", tt.query, one)
			}
		}
		if strings.Join(got, ",") != strings.Join(tt.want, ",") {
			t.Errorf("%s: %q, want %q", tt.query, got, tt.want)
		}
	}
	if code, body := b.ask(t, http.MethodGet, list+"?source=somewhere", ""); code != http.StatusBadRequest || !strings.Contains(body, "IP address") {
		t.Errorf("a source that is none: %d %s", code, body)
	}
}

// TestListIsBounded: what is left out of a long list is counted.
func TestListIsBounded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for i := range 1100 {
		for j := range 5 {
			b.guess(t, fmt.Sprintf("10.0.%d.%d", i>>8, i&255), fmt.Sprintf("victim.%016d", j))
		}
	}
	answer := b.locks(t, "")
	if len(answer.Items) != 1000 || answer.Metadata.RemainingItemCount != 102 {
		t.Errorf("%d items, %d left out; want 1000 and 102", len(answer.Items), answer.Metadata.RemainingItemCount)
	}
}

// TestUnlock: a lock is taken off once, for a reason, and who did it is told of.
func TestUnlock(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	name := b.locks(t, "?source="+attacker).Items[0].Metadata.Name
	for _, tt := range []struct{ name, target, body, want string }{
		{"no reason", name, unlocking(" "), "say why"},
		{"a long reason", name, unlocking(strings.Repeat("x", 1025)), "longer than 1024"},
		{"a reason that no terminal shows", name, unlocking("a\x1b[2J"), "control characters"},
		{"another kind", name, strings.Replace(unlocking("why"), "UnlockRequest", "Revocation", 1), "kind"},
		{"a field that is not known", name, strings.Replace(unlocking("why"), "{", `{"all":true,`, 1), "unknown field"},
		{"nothing", name, "", "EOF"},
	} {
		if code, body := b.ask(t, http.MethodPost, list+"/"+tt.target+"/unlock", tt.body); code != http.StatusBadRequest || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s", tt.name, code, body)
		}
	}
	for _, other := range []string{"l-00000000000000000000", "l-x", "everything"} {
		if code, _ := b.ask(t, http.MethodPost, list+"/"+other+"/unlock", unlocking("why")); code != http.StatusNotFound {
			t.Errorf("%s: %d", other, code)
		}
	}
	b.fails = errors.New("the store is down: secret detail")
	if code, body := b.ask(t, http.MethodPost, list+"/"+name+"/unlock", unlocking("why")); code != http.StatusInternalServerError || strings.Contains(body, "secret detail") {
		t.Errorf("an unlock that may not be in force: %d %s", code, body)
	}
	if len(b.changed) != 0 || len(b.locks(t, "?source="+attacker).Items) != 1 {
		t.Errorf("an unlock that failed is told of: %v", b.changed)
	}
	b.fails = nil
	code, body := b.ask(t, http.MethodPost, list+"/"+name+"/unlock", unlocking("the old script is stopped"))
	if code != http.StatusOK || !strings.Contains(body, `"inForce"`) {
		t.Fatalf("%d %s", code, body)
	}
	if last := b.enforced[len(b.enforced)-1]; last.Actor != "guard" || last.Reason != "the old script is stopped" || time.Since(last.At) > time.Minute {
		t.Errorf("enforced: %+v", last)
	}
	if len(b.changed) != 1 || b.changed[0].Actor != "guard" || b.changed[0].Lock.Prefix.String() != attacker+"/32" {
		t.Errorf("told of: %+v", b.changed)
	}
	if left := b.locks(t, "?source="+attacker).Items; len(left) != 0 {
		t.Errorf("still listed: %+v", left)
	}
	if code, _ := b.ask(t, http.MethodPost, list+"/"+name+"/unlock", unlocking("again")); code != http.StatusNotFound {
		t.Errorf("taken off twice: %d", code)
	}
	b.guess(t, attacker, "password-again") // and they may try again
}

// TestExplain: a refusal is explained by its request's id, with the locks on its source.
func TestExplain(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.recent.Record(&accesslog.Event{
		RequestID: "r-1", Verdict: accesslog.Deny, Reason: "locked_out", Status: http.StatusTooManyRequests, Source: attacker, Cluster: "prod",
		Cause: errors.New("locked until then"), Time: time.Now(),
	})
	b.recent.Record(&accesslog.Event{RequestID: "r-2", Verdict: accesslog.Allow, Status: http.StatusOK, Source: attacker, Time: time.Now()})
	code, body := b.ask(t, http.MethodGet, explain+"r-1", "")
	var answer adminapi.Refusal
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if s := answer.Status; s.Code != http.StatusTooManyRequests || s.Reason != "locked_out" || s.Cause != "locked until then" || s.Source != attacker ||
		len(s.Lockouts) != 1 || s.Lockouts[0].Status.Kind != "prefix" {
		t.Errorf("%+v", s)
	}
	for _, id := range []string{"r-2", "r-3"} {
		if code, _ := b.ask(t, http.MethodGet, explain+id, ""); code != http.StatusNotFound {
			t.Errorf("%s: %d", id, code)
		}
	}
}

// TestWhoMay: the first cluster is asked for each act by its own verb and resource; whoever it does not let is told, and nothing
// is done. Nobody is asked about what the API does not know.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	name := b.locks(t, "?source="+attacker).Items[0].Metadata.Name
	for _, tt := range []struct {
		method, target, body string
		access               localapi.Access
	}{
		{http.MethodGet, list, "", localapi.Access{Verb: "list", Resource: "lockouts"}},
		{http.MethodPost, list + "/" + name + "/unlock", unlocking("why"), localapi.Access{Verb: "create", Resource: "lockouts", Subresource: "unlock", Name: name}},
		{http.MethodGet, explain + "r-1", "", localapi.Access{Verb: "get", Resource: "refusals", Name: "r-1"}},
	} {
		b.rbac = rbac{}
		if code, body := b.ask(t, tt.method, tt.target, tt.body); code != http.StatusForbidden || !strings.Contains(body, "cannot "+tt.access.Verb) {
			t.Errorf("%s: %d %s", tt.target, code, body)
		}
		if len(b.rbac.asked) != 1 || b.rbac.asked[0] != tt.access {
			t.Errorf("%s: asked for %+v", tt.target, b.rbac.asked)
		}
		b.rbac = rbac{allow: true, err: errors.New("down")}
		if code, _ := b.ask(t, tt.method, tt.target, tt.body); code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d while nobody knows", tt.target, code)
		}
		b.rbac = rbac{allow: true}
		b.cluster = "other"
		if code, _ := b.ask(t, tt.method, tt.target, tt.body); code != http.StatusNotFound || len(b.rbac.asked) != 0 {
			t.Errorf("%s: %d through another cluster", tt.target, code)
		}
		b.cluster = "prod"
		if code, _ := b.ask(t, http.MethodDelete, tt.target, tt.body); code != http.StatusMethodNotAllowed || len(b.rbac.asked) != 0 {
			t.Errorf("%s: DELETE: %d", tt.target, code)
		}
		b.user = identity.Anonymous
		if code, _ := b.ask(t, tt.method, tt.target, tt.body); code != http.StatusUnauthorized || len(b.rbac.asked) != 0 {
			t.Errorf("%s: anonymous: %d", tt.target, code)
		}
		b.user = "guard"
	}
	if len(b.enforced) != 0 || len(b.changed) != 0 {
		t.Error("a lock was taken off")
	}
	for _, other := range []string{"/api", list + "s", adminapi.RefusalsPath, list + "/" + name} {
		code, _ := b.ask(t, http.MethodGet, other, "")
		if code != 0 && code != http.StatusMethodNotAllowed && code != http.StatusNotFound {
			t.Errorf("%s: %d", other, code)
		}
	}
}

// TestNewRefuses: an API that lacks something is none.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := lockoutapi.New(lockoutapi.Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
}
