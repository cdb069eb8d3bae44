package login_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// signedIn is what login says of what it got.
type signedIn struct {
	Credential   string `json:"credential"`
	CredentialID string `json:"credentialID"`
	Session      string `json:"session"`
}

// signInSaying signs the person in, and returns what login says of it.
func (p *person) signInSaying(args ...string) signedIn {
	p.t.Helper()
	var said signedIn
	if out := p.signIn(append(args, "-o", "json")...); json.Unmarshal([]byte(out), &said) != nil || said.CredentialID == "" {
		p.t.Fatalf("login says\n%s", out)
	}
	return said
}

// watch opens a watch, and returns what hands on when it ended.
func (p *person) watch(with handed) <-chan time.Time {
	p.t.Helper()
	response := p.get(with, "/api/v1/namespaces?watch=true")
	if response.StatusCode != http.StatusOK {
		p.t.Fatalf("watch: %s", response.Status)
	}
	ended, first := make(chan time.Time, 1), make(chan struct{})
	go func() {
		defer func() { _ = response.Body.Close() }()
		lines := bufio.NewScanner(response.Body)
		for n := 0; lines.Scan(); n++ {
			if n == 0 {
				close(first)
			}
		}
		ended <- time.Now()
	}()
	select { // there is kube-system, at least
	case <-first:
	case <-time.After(deadline):
		p.t.Fatal("the watch brings nothing")
	}
	return ended
}

// cut wants a watch to end soon after began.
func (p *person) cut(ended <-chan time.Time, began time.Time) {
	p.t.Helper()
	const limit = 3 * time.Second // one is promised; the rest is for a machine that does something else
	select {
	case at := <-ended:
		if took := at.Sub(began); took > limit {
			p.t.Errorf("the watch was open for %s, more than %s", took, limit)
		}
	case <-time.After(deadline):
		p.t.Error("the watch was not cut")
	}
}

// TestBoundToken signs in for a token that is bound to a certificate (RFC 8705): kubectl and client-go work by it, it is of no use beside
// another certificate or none, and its revocation cuts what it opened and nothing else.
func TestBoundToken(t *testing.T) {
	at := open(t, nil)
	p, other := settle(t, at), settle(t, at)
	said := p.signInSaying("--credential", "token")
	for _, cluster := range []string{"prod", "test"} {
		if got := p.whoAmI(cluster); !strings.HasPrefix(got, "jane ") || !strings.Contains(got, "platform") {
			t.Errorf("%s: %s", cluster, got)
		}
	}
	line, err := at.WaitAccessLog(t.Context(), func(l gate.Line) bool { return l.Resource == "selfsubjectreviews" && l.Cluster == "test" })
	if err != nil || line.Mechanism != "issuedToken" || line.CredentialID != said.CredentialID || line.User != jane {
		t.Errorf("kubectl's request was judged by %s %s of %s, want the token %s: %v", line.Mechanism, line.CredentialID, line.User, said.CredentialID, err)
	}
	mine := p.handed()
	p.searchForSecrets(mine)

	other.signIn()
	others := other.handed()
	issue := other.command(t.Context(), binaries.KubectlOstiary, "issue", "static-token", "--username", builder, "--context", other.contextOf("prod"), "--lifetime", "10m")
	out, err := issue.Output()
	if err != nil {
		t.Fatal(err)
	}
	static := strings.TrimSpace(string(out))
	for _, tt := range []struct {
		name string
		with handed
		want int
	}{
		{"with its certificate", mine, http.StatusOK},
		{"with another session's certificate", handed{others.Certificate, others.Key, mine.Token}, http.StatusUnauthorized},
		{"with no certificate", handed{Token: mine.Token}, http.StatusUnauthorized},
		// The same requests, where the guard is off: without the token, and with one that is bound to nothing.
		{"its certificate alone", handed{mine.Certificate, mine.Key, ""}, http.StatusOK},
		{"another session's certificate alone", others, http.StatusOK},
		{"a token that is not bound, with another's certificate", handed{others.Certificate, others.Key, static}, http.StatusOK},
		{"a token that is not bound, with no certificate", handed{Token: static}, http.StatusOK},
	} {
		if got := p.status(tt.with); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.want)
		}
	}

	byToken, byCertificate := p.watch(mine), p.watch(handed{mine.Certificate, mine.Key, ""})
	began := time.Now()
	other.must(binaries.KubectlOstiary, "revoke", "--context", other.contextOf("prod"), "--id", said.CredentialID, "--reason", "a test")
	p.cut(byToken, began)
	if got := p.status(mine); got != http.StatusUnauthorized {
		t.Errorf("a token that was revoked gets status %d", got)
	}
	select {
	case <-byCertificate:
		t.Error("the certificate's own watch was cut, too")
	default:
	}
	if got := p.status(handed{mine.Certificate, mine.Key, ""}); got != http.StatusOK {
		t.Errorf("its certificate gets status %d", got)
	}
	p.fails("prod", "You must be logged in")
}

// TestBoundTokenEnds renews a token with its certificate while client-go watches, and ends both at the logout, open watches included.
func TestBoundTokenEnds(t *testing.T) {
	p := settle(t, open(t, brief()))
	p.signIn("--credential", "token", "--lifetime", "30s")
	first, last := p.watchFor(45 * time.Second)
	if first.Token == "" || last.Token == "" || first.Token == last.Token || first.Certificate == last.Certificate {
		t.Error("the token or the certificate is the first one")
	}
	p.signIn("--credential", "token")
	mine := p.handed()
	if got := p.status(mine); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	ended := p.watch(mine)
	began := time.Now()
	p.must(binaries.KubectlOstiary, "logout")
	for name, with := range map[string]handed{"the token with its certificate": mine, "the certificate alone": {mine.Certificate, mine.Key, ""}} {
		if got := p.status(with); got != http.StatusUnauthorized {
			t.Errorf("after logout %s gets status %d", name, got)
		}
	}
	p.cut(ended, began)
	p.fails("prod", "not signed in")
}
