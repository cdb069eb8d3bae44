package signin_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

func pipeline() signin.Exchange {
	return signin.Exchange{Subject: secret.New(signintest.PipelineToken), SubjectType: adminapi.TokenTypeJWT, Lifetime: time.Minute}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	server := signintest.NewGate(t, nil)
	gate, err := signin.NewGate(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	document, err := gate.SignIn(t.Context())
	if err != nil || len(document.Clusters) != 2 {
		t.Errorf("%+v, %v", document, err)
	}
	grant, err := gate.Exchange(t.Context(), pipeline())
	if err != nil {
		t.Fatal(err)
	}
	if pair, err := grant.TLS(); err != nil || pair.PrivateKey == nil {
		t.Error(err)
	}
	if !grant.Holds(time.Now()) || grant.Holds(grant.NotAfter.Add(-time.Second)) || !grant.RenewAt().Before(grant.NotAfter) || grant.Session == "" || grant.ID == "" {
		t.Errorf("%+v", grant)
	}
	again := pipeline()
	again.Session = grant.Session
	bound, err := gate.Bind(t.Context(), again, grant.Credential)
	if err != nil || !strings.HasPrefix(bound.Token.Reveal(), "gw1.") || time.Until(bound.ExpiresAt) < time.Minute {
		t.Errorf("%+v, %v", bound, err)
	}
	if err := gate.Revoke(t.Context(), "s-of-somebody-else", grant.Credential); err == nil {
		t.Error("another's session was ended")
	}
	if err := gate.Revoke(t.Context(), grant.Session, grant.Credential); err != nil || len(server.Open()) != 0 {
		t.Error(err, server.Open())
	}
	if _, err := gate.Exchange(t.Context(), again); err == nil {
		t.Error("a session that ended was renewed")
	}
}

func TestExchangeIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change   func(*signintest.GateState)
		exchange func(*signin.Exchange)
		want     string
		refused  bool
	}{
		"wrong token":       {exchange: func(e *signin.Exchange) { e.Subject = secret.New("guess") }, want: "invalid_grant", refused: true},
		"gate down":         {change: func(s *signintest.GateState) { s.Down = true }, want: "503"},
		"another's key":     {change: func(s *signintest.GateState) { s.OtherKey = true }, want: "another key"},
		"another's session": {exchange: func(e *signin.Exchange) { e.Session = "s-1" }, want: "invalid_grant", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := signintest.NewGate(t, nil)
			if tt.change != nil {
				server.Change(tt.change)
			}
			exchange := pipeline()
			if tt.exchange != nil {
				tt.exchange(&exchange)
			}
			gate, err := signin.NewGate(server.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Close()
			_, err = gate.Exchange(t.Context(), exchange)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			if _, refused := errors.AsType[*signin.RefusedError](err); refused != tt.refused {
				t.Errorf("refused: %t: %v", refused, err)
			}
			if strings.Contains(err.Error(), signintest.PipelineToken) {
				t.Errorf("the token is in the error: %v", err)
			}
		})
	}
}

// TestAnswersThatAreNone goes through servers that are no gate, or a broken one.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"not found": {http.NotFound, "is this an Ostiary gate"},
		"a page":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "no Ostiary sign-in document"},
		"another kind": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"apiVersion":"ostiary.dev/v1alpha1","kind":"GateStatus"}`))
		}, "no Ostiary sign-in document"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example", http.StatusFound)
		}, "302"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "longer than"},
		"hostile text": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"x\u001b[2J","error_description":"` + strings.Repeat("y", 2000) + `"}`))
		}, `"x\x1b[2J"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(tt.handler)
			t.Cleanup(server.Close)
			gate, err := signin.NewGate(signin.Address{URL: server.URL, Authorities: caOf(server)})
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Close()
			_, err = gate.SignIn(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

func caOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// TestGateMustProveWhoItIs shows that no token goes to a server that no CA vouches for, and that it does to one that is
// vouched for.
func TestGateMustProveWhoItIs(t *testing.T) {
	t.Parallel()
	server := signintest.NewGate(t, nil)
	address := server.Address
	address.Authorities = ""
	gate, err := signin.NewGate(address)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	_, err = gate.Exchange(t.Context(), pipeline())
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown || server.Count("token") != 0 {
		t.Errorf("error %v, %d tokens sent", err, server.Count("token"))
	}
	if _, verification := errors.AsType[*tls.CertificateVerificationError](err); !verification {
		t.Errorf("error %v", err)
	}
	wrongName := server.Address
	wrongName.ServerName = "another.example"
	named, err := signin.NewGate(wrongName)
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if _, err := named.Exchange(t.Context(), pipeline()); err == nil || server.Count("token") != 0 {
		t.Errorf("error %v", err)
	}
	address.Authorities = "no PEM"
	if _, err := signin.NewGate(address); err == nil {
		t.Error("CAs that are none are taken for the system's")
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://gate.example": "https://gate.example", "https://GATE.example:443/": "https://gate.example", "https://gate.example:6443/clusters/prod": "https://gate.example:6443",
		"https://[::1]:443": "https://[::1]", "http://gate.example": "", "gate.example": "", "": "", "https://": "", "https://a:b@gate.example": "",
		"https://gate.example?x": "", "https://gate.example#x": "", "https://gate.example:x": "",
	} {
		if got, err := signin.ParseURL(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("https://gate.example:443/x")
	f.Add("https://[::1%25eth0]:1")
	f.Fuzz(func(t *testing.T, text string) {
		once, err := signin.ParseURL(text)
		if err != nil {
			return
		}
		if twice, err := signin.ParseURL(once); err != nil || twice != once || !strings.HasPrefix(once, "https://") {
			t.Errorf("%q: %q, then %q, %v", text, once, twice, err)
		}
	})
}
