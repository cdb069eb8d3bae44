package signin_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/etcd"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// replicas are two gates with one ledger in three members.
func replicas(t *testing.T) (one, two *house) {
	t.Helper()
	place := etcd.Place{Address: netip.MustParseAddr("127.0.0.1")}
	cluster, err := etcd.Start(t.Context(), etcd.Options{Binaries: shared.paths, Dir: t.TempDir(), Fast: true, Places: []etcd.Place{place, place, place}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	var key, root any
	start := func() *house {
		return open(t, func(config gate.Object) {
			ledger := gate.Object{"etcd": gate.Object{"endpoints": cluster.Endpoints(), "tls": gate.Object{
				"certificateAuthorityFile": cluster.CAFile, "certFile": cluster.ClientFiles.Cert, "keyFile": cluster.ClientFiles.Key,
			}}}
			issuer, _ := config["issuer"].(gate.Object)
			if key != nil {
				ledger["keyFile"], issuer["rootFile"] = key, root
			}
			config["ledger"], root = ledger, issuer["rootFile"]
		})
	}
	one = start()
	key = filepath.Join(one.Dir, "ledger.key")
	return one, start()
}

// bind asks for a token that is bound to a certificate.
func (h *house) bind(t *testing.T, s *signed, token string) (int, string) {
	t.Helper()
	return h.post(t, h.client(&s.certificate), tokenPath, url.Values{
		"grant_type": {grantExchange}, "subject_token": {token}, "subject_token_type": {typeIDToken},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "session": {s.Session},
	})
}

// TestReplicas lets what one replica issued in at the other at once, and has a logout, and the kill of an issuing key, hold at both before
// they are answered, streams included. A static token and a renewal are both replicas', too.
func TestReplicas(t *testing.T) {
	t.Parallel()
	one, two := replicas(t)
	token := login(t, jane)
	for range 20 { // each new to the other
		s := one.signIn(t, token, newKey(t), nil)
		if status := two.comesIn(t, s, ""); status != http.StatusOK {
			t.Fatalf("status %d at the other replica", status)
		}
		fresh := one.signIn(t, token, newKey(t), nil)
		status, body := two.bind(t, fresh, token) // where its session is not known yet
		var bound answer
		if status != http.StatusOK || json.Unmarshal([]byte(body), &bound) != nil {
			t.Fatalf("a token at the other replica: %d %s", status, body)
		}
		if status, _ := one.api(t, one.client(&fresh.certificate), bound.AccessToken, http.MethodGet, "/whoami", nil); status != http.StatusOK {
			t.Fatalf("status %d for a token of the other replica", status)
		}
		if status, _ := one.post(t, one.client(&fresh.certificate), "/.ostiary/revoke", url.Values{"token": {fresh.Session}}); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		if status, body := one.post(t, one.client(&s.certificate), "/.ostiary/revoke", url.Values{"token": {s.Session}}); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		if status := two.comesIn(t, s, ""); status != http.StatusUnauthorized {
			t.Fatalf("status %d at the other replica after the logout", status)
		}
	}
	killIssuer(t, one, two)
	rotateAtBoth(t, one, two)
	token = login(t, jane) // a person's token is good for some minutes
	first := one.signIn(t, token, newKey(t), nil)
	renewed := two.signIn(t, token, newKey(t), url.Values{"session": {first.Session}})
	if renewed.Session != first.Session {
		t.Error("the other replica does not know the session")
	}
	here, there := one.watch(t, first), two.watch(t, renewed)
	other := two.signIn(t, token, newKey(t), nil)
	stays := one.watch(t, other)
	said, err := shared.provider.LogoutToken("logout+jwt", func(c map[string]any) { c["sid"] = claim(t, token, "sid") })
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, body := two.post(t, two.client(nil), "/.ostiary/logout/main", url.Values{"logout_token": {said}}); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	took := time.Since(began)
	for _, ended := range []<-chan time.Time{here, there, stays} { // all rest on one sign-in at the provider
		within(t, ended, began)
	}
	for name, h := range map[string]*house{"one": one, "two": two} {
		for _, s := range []*signed{first, renewed, other} {
			if status := h.comesIn(t, s, ""); status != http.StatusUnauthorized {
				t.Errorf("at %s: status %d", name, status)
			}
		}
	}
	t.Logf("back-channel logout of 2 sessions, with 3 streams at two replicas, in force after %s", took)
	rate(t, one, "three etcd members, two replicas, one of them asked")
}

// TestRate signs in as fast as it goes, with the ledger in the process.
func TestRate(t *testing.T) { rate(t, open(t, nil), "embedded store") }

// rate prints how many certificates come in a second, and how long each takes, by HTTPS and with the provider's token judged each time.
// Any that is refused is a failure.
func rate(t *testing.T, h *house, where string) {
	t.Helper()
	const callers, each = 16, 60
	token := serviceAccountToken(t)
	more := url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}}
	keys := make([]*key, callers)
	for i := range keys {
		keys[i] = newKey(t)
		h.signIn(t, token, keys[i], more)
	}
	var mu sync.Mutex
	var all []time.Duration
	var group sync.WaitGroup
	began := time.Now()
	for i := range callers {
		group.Go(func() {
			for range each {
				asked := time.Now()
				status, body := h.exchange(t, token, keys[i], more)
				mu.Lock()
				all = append(all, time.Since(asked))
				mu.Unlock()
				if status != http.StatusOK {
					t.Errorf("%d %s", status, body)
					return
				}
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	slices.Sort(all)
	t.Logf("%s: %d certificates by %d callers, a new TLS connection each, in %s: %.0f a second, p50 %s, p99 %s",
		where, len(all), callers, took.Round(time.Millisecond), float64(len(all))/took.Seconds(), all[len(all)/2].Round(time.Millisecond), all[len(all)*99/100].Round(time.Millisecond))
}

// killIssuer shuts out one replica's issuing key with one command, at the other: what it signed dies at both, streams included, and
// nothing else does. The replica goes on by another key.
func killIssuer(t *testing.T, one, two *house) {
	t.Helper()
	theirs, others := one.signIn(t, login(t, joe), newKey(t), nil), two.signIn(t, login(t, joe), newKey(t), nil)
	issuing, err := x509.ParseCertificate(theirs.certificate.Certificate[1])
	if err != nil {
		t.Fatal(err)
	}
	ended, stays := two.watch(t, theirs), one.watch(t, others)
	began := time.Now()
	if _, err := two.guard.MustSucceed(t.Context(), "ostiary", "revoke", "--issuer", fmt.Sprintf("SPKISHA256=%x", sha256.Sum256(issuing.RawSubjectPublicKeyInfo)), "--reason", "stolen"); err != nil {
		t.Fatal(err)
	}
	within(t, ended, began)
	anew := one.signIn(t, login(t, joe), newKey(t), nil)
	if bytes.Equal(anew.certificate.Certificate[1], issuing.Raw) {
		t.Error("the key that was shut out issues")
	}
	for name, h := range map[string]*house{"one": one, "two": two} {
		for what, test := range map[string]struct {
			s    *signed
			want int
		}{"by the key": {theirs, http.StatusUnauthorized}, "by the other replica's": {others, http.StatusOK}, "by the next one": {anew, http.StatusOK}} {
			if status := h.comesIn(t, test.s, ""); status != test.want {
				t.Errorf("a certificate %s, at %s: status %d, wanted %d", what, name, status, test.want)
			}
		}
	}
	select {
	case <-stays:
		t.Error("a stream of the other replica's certificate was cut")
	default:
	}
}

// rotateAtBoth has a static token of one replica work at the other, and be rotated once, whichever is asked.
func rotateAtBoth(t *testing.T, one, two *house) {
	t.Helper()
	empty := object{"apiVersion": "ostiary.dev/v1alpha1", "kind": "Issue"}
	status, answer := one.api(t, one.guardClient(), "", http.MethodPost, "/issue", issueOf("staticToken", object{"username": "builder"}))
	first, _ := answer["status"].(object)
	old, _ := first["token"].(string)
	if status != http.StatusCreated || old == "" {
		t.Fatalf("%d %v", status, answer)
	}
	// Once the other replica knows of what was issued later, by a certificate, it knows of the token.
	if status := two.comesIn(t, one.signIn(t, login(t, joe), newKey(t), nil), ""); status != http.StatusOK {
		t.Fatalf("status %d at the other replica", status)
	}
	if status, _ := two.api(t, two.client(nil), old, http.MethodGet, "/whoami", nil); status != http.StatusOK {
		t.Errorf("status %d for a token of the other replica", status)
	}
	if status, answer := two.api(t, two.client(nil), old, http.MethodPost, "/rotate", empty); status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	for name, h := range map[string]*house{"one": one, "two": two} {
		if status, answer := h.api(t, h.client(nil), old, http.MethodPost, "/rotate", empty); status != http.StatusConflict {
			t.Errorf("rotated once more at %s: %d %v", name, status, answer)
		}
	}
}
