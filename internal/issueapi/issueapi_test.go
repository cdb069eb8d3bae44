package issueapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issueapi"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/session"
)

// asked takes note of rights that are asked for, and allows those that give no group of admins'.
type asked struct{ all []string }

func (a *asked) Authorize(_ context.Context, _ *identity.Identity, access localapi.Access) (bool, string, error) {
	a.all = append(a.all, access.Verb+" "+access.Resource+"/"+access.Subresource+" "+access.Name)
	return access.Name != "admins", "", nil
}

type nobody struct{}

func (nobody) Make(context.Context, *adminapi.IssueBootstrapToken, time.Time, func(*ledger.Entry) error) (string, string, error) {
	panic("nothing is made here")
}

// TestGroupsTakeARightEach: who may name a machine may not put it into any group by that.
func TestGroupsTakeARightEach(t *testing.T) {
	t.Parallel()
	many := make([]string, 65)
	for i := range many {
		many[i] = "group-" + strconv.Itoa(i)
	}
	for name, test := range map[string]struct {
		issue  adminapi.Issue
		status int
		rights string
	}{
		"a certificate": {
			adminapi.Issue{Certificate: &adminapi.IssueCertificate{Username: "backup", Groups: []string{"backups", "admins"}}},
			http.StatusForbidden,
			"create issue/ backup, create issue/groups backups, create issue/groups admins",
		},
		"a static token": {
			adminapi.Issue{StaticToken: &adminapi.IssueStaticToken{Username: "backup", Groups: []string{"admins"}}},
			http.StatusForbidden,
			"create issue/ backup, create issue/groups admins",
		},
		"a bootstrap token": {
			adminapi.Issue{BootstrapToken: &adminapi.IssueBootstrapToken{Groups: []string{"system:bootstrappers:workers", "admins"}}},
			http.StatusForbidden,
			"create issue/ system:bootstrap:, create issue/groups system:bootstrappers:workers, create issue/groups admins",
		},
		// The lifetime is none, so that nothing is made of what is allowed.
		"groups that may be given": {
			adminapi.Issue{StaticToken: &adminapi.IssueStaticToken{Username: "backup", Groups: []string{"backups"}, Lifetime: "x"}},
			http.StatusUnprocessableEntity,
			"create issue/ backup, create issue/groups backups",
		},
		"more groups than are given": {adminapi.Issue{StaticToken: &adminapi.IssueStaticToken{Username: "backup", Groups: many}}, http.StatusUnprocessableEntity, ""},
	} {
		rights := &asked{}
		api, err := issueapi.New(issueapi.Config{
			Registrar: new(registrar.Registrar), Book: session.NewBook(nil), Bootstrap: nobody{}, Authorizer: rights, Logger: slog.New(slog.DiscardHandler),
			Record:   func(context.Context, ...*ledger.Entry) error { panic("nothing is recorded here") },
			Settings: func() *issueapi.Settings { return &issueapi.Settings{LongestToken: time.Hour} }, Hub: func() string { return "prod" },
		})
		if err != nil {
			t.Fatal(err)
		}
		test.issue.TypeMeta = adminapi.TypeOf(adminapi.IssueKind)
		body, err := json.Marshal(test.issue)
		if err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		api.ServeLocal(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, adminapi.IssuePath, bytes.NewReader(body)), gateway.Caller{
			Identity: &identity.Identity{Username: "jane", Groups: []string{identity.GroupAuthenticated}}, Credential: &authn.Credential{},
			Cluster: &gateway.Cluster{Name: "prod"}, Path: adminapi.IssuePath,
		})
		if got := strings.Join(rights.all, ", "); answer.Code != test.status || got != test.rights {
			t.Errorf("%s: %d, asked for %q, wanted %q\n%s", name, answer.Code, got, test.rights, answer.Body)
		}
	}
}
