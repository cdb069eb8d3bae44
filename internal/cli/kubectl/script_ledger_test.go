package kubectl_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/ledgertest"
	"github.com/ostiary/ostiary/internal/ledgerapi"
	"github.com/ostiary/ostiary/internal/localapi"
)

type openNames struct{}

func (openNames) Hide(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// denies lets nobody write who is not alice.
type denies struct{}

func (denies) Authorize(_ context.Context, user *identity.Identity, access localapi.Access) (bool, string, error) {
	return user.Username == "alice" || access.Verb != "create", "", nil
}

// serveLedger adds the ledger's own API to contexts of the kubeconfig: that of a guard, and that of somebody who may only
// look. Both see one ledger, in which bob has been seen.
func serveLedger(t *testing.T, mux *http.ServeMux) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	book, err := ledger.New(ledger.Config{Store: ledgertest.Open(t, filepath.Join(t.TempDir(), "store")), Names: openNames{}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	ledgertest.StartFresh(t, book)
	bob := &authn.Credential{
		ID: identity.CredentialID{Issuer: "https://issuer.example", Value: "JTI=bob-1"}, Mechanism: identity.JWT,
		Identity: identity.Identity{Username: "bob", Groups: []string{"dev"}}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	if err := book.Judge(&authn.Request{Source: netip.MustParseAddr("192.0.2.9"), Cluster: "prod", Now: time.Now()}, bob); err != nil {
		t.Fatal(err)
	}
	api, err := ledgerapi.New(ledgerapi.Config{
		Ledger: book, Authorizer: denies{}, Hub: func() string { return "prod" },
		Streams: func(matches ledgerapi.Matches) []gateway.StreamInfo {
			if !matches(bob) {
				return nil
			}
			return []gateway.StreamInfo{{RequestID: "id-1", Username: "bob", Mechanism: identity.JWT, Cluster: "prod", Verb: "watch", Resource: "pods", Source: "192.0.2.9"}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, user := range map[string]string{"gate": "alice", "onlooker": "carol"} {
		prefix := "/" + name
		mux.Handle(prefix+"/apis/"+adminapi.GroupVersion+"/", http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who := &identity.Identity{Username: user}
			if !api.ServeLocal(w, r, gateway.Caller{ //nolint:contextcheck // the request has it
				Identity: who, Credential: &authn.Credential{ID: identity.CredentialID{Value: "JTI=" + user}, Mechanism: identity.JWT, Identity: *who},
				Cluster: &gateway.Cluster{Name: "prod"}, Path: r.URL.Path, Source: "192.0.2.1",
				Open: func() (context.Context, error) { return r.Context(), nil },
			}) {
				sends(http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound))(w, r)
			}
		})))
	}
}
