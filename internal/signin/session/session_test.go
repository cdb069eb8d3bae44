package session_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/session"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

func begin(t *testing.T) (*session.Session, *signintest.Gate) {
	t.Helper()
	gate := signintest.NewGate(t, nil)
	s, err := session.BeginPipeline(t.Context(), session.Source{Address: gate.Address, Label: "x"}, secret.New(signintest.PipelineToken))
	if err != nil {
		t.Fatal(err)
	}
	return s, gate
}

func TestCodec(t *testing.T) {
	t.Parallel()
	s, _ := begin(t)
	s.Refresh = secret.New("refresh")
	data, err := session.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := session.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, back, cmp.Comparer(func(a, b secret.String) bool { return a.Reveal() == b.Reveal() }), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	for _, broken := range []string{"", "null", `{"key":"` + s.Key.Reveal()[:20], strings.Replace(string(data), "BEGIN PRIVATE", "BEGIN PUBLIC", 1), strings.Replace(string(data), "https://", "http://", 1)} {
		if _, err := session.Decode([]byte(broken)); err == nil {
			t.Errorf("%.30q is taken for a session", broken)
		} else if strings.Contains(err.Error(), "MIG") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// TestBound keeps a token with its certificate: a session that is to have one and has none is none, and neither is the reverse.
func TestBound(t *testing.T) {
	t.Parallel()
	gate := signintest.NewGate(t, nil)
	s, err := session.BeginPipeline(t.Context(), session.Source{Address: gate.Address, Label: "x", Bound: true}, secret.New(signintest.PipelineToken))
	if err != nil {
		t.Fatal(err)
	}
	if s.Token.Token.IsEmpty() || s.NotAfter.After(s.Token.ExpiresAt) || s.CredentialID() != s.Token.ID || s.Token.ID == s.ID {
		t.Errorf("%+v", s.Token)
	}
	data, err := session.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := session.Decode(data)
	if err != nil || !back.Token.Token.Equal(s.Token.Token) || back.Token.ID != s.Token.ID || !back.Token.ExpiresAt.Equal(s.Token.ExpiresAt) {
		t.Errorf("%+v, %v", back, err)
	}
	for name, broken := range map[string]string{
		"no token":      strings.Replace(string(data), `"token":{`, `"other":{`, 1),
		"an empty one":  strings.Replace(string(data), s.Token.Token.Reveal(), "", 1),
		"one too many":  strings.Replace(string(data), `"bound":true`, `"bound":false`, 1),
		"as it must be": string(data),
	} {
		if _, err := session.Decode([]byte(broken)); (err == nil) != (name == "as it must be") {
			t.Errorf("%s: %v", name, err)
		}
	}
	gate.Change(func(s *signintest.GateState) { s.NoTokens = true })
	if _, err := session.BeginPipeline(t.Context(), s.Source, secret.New(signintest.PipelineToken)); err == nil || len(gate.Open()) != 1 {
		t.Errorf("%v, %d sessions are open", err, len(gate.Open()))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"address":{"url":"https://gate.example"},"key":"-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----\n","notAfter":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := session.Decode(data); err == nil && s.Certificate == "" {
			t.Error("a session without a certificate")
		}
	})
}

func TestNamesTellSourcesApart(t *testing.T) {
	t.Parallel()
	address := signin.Address{URL: "https://gate.example"}
	seen := map[string]session.Source{}
	for _, source := range []session.Source{
		{},
		{Address: address},
		{Address: address, Provider: &adminapi.SignInProvider{Name: "corp"}},
		{Address: address, Provider: &adminapi.SignInProvider{Name: "other"}},
		{Address: address, TokenFile: "corp"},
		{Address: address, Label: "corp"},
		{Address: address, Cluster: "corp"},
		{Address: address, Bound: true},
		{Address: signin.Address{URL: "https://gate.example", Authorities: "x"}},
		{Address: signin.Address{URL: "https://gate.example", ServerName: "x"}},
	} {
		if other, taken := seen[source.Name()]; taken {
			t.Errorf("%+v and %+v have one name", source, other)
		}
		seen[source.Name()] = source
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{" a.b.c\n": "a.b.c", "": "", " \n": "", "a b": "", strings.Repeat("x", 1<<17): ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := session.ReadToken(file); token.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %v", content, err)
		} else if err != nil && !strings.Contains(err.Error(), file) {
			t.Errorf("the error does not say where: %v", err)
		}
	}
	if _, err := session.ReadToken(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there")
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	s, gate := begin(t)
	if s.Renewable() {
		t.Error("a token that was given once renews nothing")
	}
	if err := s.Renew(t.Context()); err == nil {
		t.Error("renewed")
	}
	if !s.Holds(time.Now()) {
		t.Error("a failed renewal took the certificate away")
	}
	if err := s.End(t.Context()); err != nil || len(gate.Open()) != 0 {
		t.Error(err, gate.Open())
	}
}
