package tokenreview_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/testca"
	"github.com/ostiary/ostiary/internal/tokenreview"
)

// TestHostileBodies: a body has one reading or none, and the token is taken as it stands.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	s := start(t, tokenreview.Caller{Name: "prod", AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice, "tok-\x00-ä": alice}})
	client := s.caller(t)
	good := review("v1", "tok-alice")
	for _, tt := range []struct {
		name, body string
		code       int
		admitted   bool
	}{
		{"as API servers send it", good, http.StatusOK, true},
		{"blanks between", strings.ReplaceAll(good, ",", " ,\r\n\t"), http.StatusOK, true},
		{"members that are not known", strings.Replace(good, `{`, `{"future":{"a":[1,true,"x"]},`, 1), http.StatusOK, true},
		{"escapes", strings.Replace(good, "tok-alice", `tok-\u0061lice`, 1), http.StatusOK, true},
		{"NUL in the token", review("v1", "tok-\x00-ä"), http.StatusOK, true},
		{"NUL at its end", review("v1", "tok-alice\x00"), http.StatusOK, false},
		{"blank at its end", review("v1", "tok-alice "), http.StatusOK, false},
		{"blank before it", review("v1", " tok-alice"), http.StatusOK, false},
		{"scheme before it", review("v1", "Bearer tok-alice"), http.StatusOK, false},
		{"token in other case", strings.Replace(good, `"token"`, `"Token"`, 1), http.StatusOK, false},
		{"token beside spec", strings.Replace(good, `"spec"`, `"token":"tok-alice","other"`, 1), http.StatusOK, false},
		{"attack 85 second token", strings.Replace(good, `"token"`, `"token":"x","token"`, 1), http.StatusBadRequest, false},
		{"attack 85 second token, spelled otherwise", strings.Replace(good, `"token"`, `"t\u006fken":"x","token"`, 1), http.StatusBadRequest, false},
		{"attack 85 second spec", strings.Replace(good, `"spec"`, `"spec":{"token":"x"},"spec"`, 1), http.StatusBadRequest, false},
		{"second version", strings.Replace(good, `"apiVersion"`, `"apiVersion":"authentication.k8s.io/v1beta1","apiVersion"`, 1), http.StatusBadRequest, false},
		{"BOM", "\ufeff" + good, http.StatusBadRequest, false},
		{"NUL as a byte", strings.Replace(good, "tok-alice", "tok-alice\x00", 1), http.StatusBadRequest, false},
		{"no UTF-8", strings.Replace(good, "tok-alice", "tok-alice\xff", 1), http.StatusBadRequest, false},
		{"UTF-16", "\xff\xfe{\x00}\x00", http.StatusBadRequest, false},
		{"list of reviews", "[" + good + "]", http.StatusBadRequest, false},
		{"something behind", good + "x", http.StatusBadRequest, false},
		{"cut off", good[:len(good)-2], http.StatusBadRequest, false},
		{"null", "null", http.StatusBadRequest, false},
		{"nested without end", strings.Repeat("[", 100<<10), http.StatusBadRequest, false},
		{"nested in a member that is passed over", strings.Replace(good, `{`, `{"x":`+strings.Repeat("[", 20<<10)+strings.Repeat("]", 20<<10)+`,`, 1), http.StatusBadRequest, false},
		{"megabyte of blanks", strings.Repeat(" ", 1<<20) + good, http.StatusRequestEntityTooLarge, false},
		{"megabyte of a token", review("v1", strings.Repeat("x", 1<<20)), http.StatusRequestEntityTooLarge, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, body := s.post(t, client, tt.body)
			if code != tt.code || strings.Contains(body, `"authenticated":true`) != tt.admitted || len(body) > 1<<10 {
				t.Errorf("%d %s, want %d and admitted %v", code, body, tt.code, tt.admitted)
			}
		})
	}
}

// TestCertificateOfTwoCallersIsNobodys: the order of callers decides nothing (attack 44).
func TestCertificateOfTwoCallersIsNobodys(t *testing.T) {
	t.Parallel()
	parent := testca.New(t, "root")
	child := parent.Intermediate(t, "below")
	one := tokenreview.Caller{Name: "one", Roots: parent.Pool(), AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice}}
	two := tokenreview.Caller{Name: "two", Roots: child.Pool(), AllowedNames: []string{"apiserver"}, Decider: knows{"tok-alice": alice}}
	certificate := child.Issue(t, testca.Subject("apiserver"))
	certificate.Certificate = append(certificate.Certificate, child.Certificate.Raw)
	s := start(t, one, two)
	if code, body := s.post(t, s.client(t, &certificate), review("v1", "tok-alice")); code != http.StatusForbidden {
		t.Errorf("%d %s", code, body)
	}
	two.AllowedNames = []string{"another"} // the twin
	s = start(t, one, two)
	if code, body := s.post(t, s.client(t, &certificate), review("v1", "tok-alice")); code != http.StatusOK || !strings.Contains(body, `"authenticated":true`) {
		t.Errorf("the twin is refused: %d %s", code, body)
	}
}

// TestStrangersLoseTheirConnection: who is not vouched for asks once (attack 81).
func TestStrangersLoseTheirConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	stranger := s.ca.Issue(t, testca.Subject("kubelet"))
	for _, tt := range []struct {
		client *http.Client
		closes bool
	}{{s.client(t, &stranger), true}, {s.caller(t), false}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.front.URL+tokenreview.Path, strings.NewReader(review("v1", "x")))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := tt.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.Close != tt.closes {
			t.Errorf("%s: closes %v", response.Status, response.Close)
		}
	}
}

// TestReviewsUnderWayAreBounded: a caller has so many and no more, and a reload does not give it others.
func TestReviewsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	const most = 1000
	ca := testca.New(t, "callers")
	release, waiting := make(chan struct{}), make(chan struct{}, most)
	var begun atomic.Int32
	slow := deciderFunc(func() authn.Decision {
		if begun.Add(1) <= most { // one too many is not to hang
			waiting <- struct{}{}
			<-release
		}
		return authn.Decision{Identity: alice, Reason: authn.ReasonAccepted, Mechanism: identity.StaticToken}
	})
	use := func(server *tokenreview.Server) {
		state, err := tokenreview.NewState([]tokenreview.Caller{
			{Name: "prod", Roots: ca.Pool(), AllowedNames: []string{"apiserver"}, Decider: slow},
			{Name: "other", Roots: ca.Pool(), AllowedNames: []string{"other"}, Decider: knows{"tok-alice": alice}},
		})
		if err != nil {
			t.Fatal(err)
		}
		server.Use(state)
	}
	server := tokenreview.New(&journal{})
	use(server)
	ask := func(name string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tokenreview.Path, strings.NewReader(review("v1", "tok-alice")))
		r.Header.Set("Content-Type", "application/json")
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{ca.Issue(t, testca.Subject(name)).Leaf}}
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		return w
	}
	var group sync.WaitGroup
	for range most {
		group.Go(func() {
			if w := ask("apiserver"); w.Code != http.StatusOK {
				t.Errorf("one of those that fit: %d", w.Code)
			}
		})
	}
	for range most {
		<-waiting
	}
	for _, when := range []string{"before", "after"} {
		if w := ask("apiserver"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s a reload: one too many: %d %s", when, w.Code, w.Header())
		}
		if w := ask("other"); w.Code != http.StatusOK {
			t.Errorf("%s a reload: the other caller: %d", when, w.Code)
		}
		use(server)
	}
	close(release)
	group.Wait()
	if w := ask("apiserver"); w.Code != http.StatusOK {
		t.Errorf("when the others have ended: %d", w.Code)
	}
}

type deciderFunc func() authn.Decision

func (f deciderFunc) DecideToken(context.Context, *authn.Request, secret.String) authn.Decision {
	return f()
}
