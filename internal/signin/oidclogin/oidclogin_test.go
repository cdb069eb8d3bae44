package oidclogin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/oidclogin"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

func newClient(t *testing.T, provider *signintest.Provider) *oidclogin.Client {
	t.Helper()
	client, err := oidclogin.New(t.Context(), provider.Config("corp", adminapi.FlowCode))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// free is any port.
func free() []int { return []int{0} }

func TestCode(t *testing.T) {
	t.Parallel()
	provider := signintest.NewProvider(t)
	client := newClient(t, provider)
	done := make(chan *url.URL, 1)
	tokens, err := client.Code(t.Context(), free(), func(address string) error {
		go func() { done <- provider.Browser(t, address) }()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Subject != "jane" || tokens.ID.IsEmpty() || tokens.Refresh.IsEmpty() || time.Until(tokens.Ends) < time.Minute {
		t.Errorf("tokens = %+v", tokens)
	}
	if last := <-done; last.Path != "/done" || last.RawQuery != "" {
		t.Errorf("the browser ended at %s, with the code in its address bar?", last)
	}
	again, err := client.Refresh(t.Context(), tokens.Refresh, "jane")
	if err != nil || again.ID.IsEmpty() || again.ID.Equal(tokens.ID) {
		t.Errorf("refresh: %+v, %v", again, err)
	}
	if err := client.Revoke(t.Context(), tokens.Refresh); err != nil {
		t.Error(err)
	}
	_, err = client.Refresh(t.Context(), tokens.Refresh, "jane")
	if refused, ok := errors.AsType[*signin.RefusedError](err); !ok || refused.Code != "invalid_grant" {
		t.Errorf("refresh after the end: %v", err)
	}
}

// TestCodeIsRefused goes through the ways in which a provider, or somebody in between, does wrong.
func TestCodeIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*signintest.State)
		want   string
	}{
		"id token of another sign-in":      {func(s *signintest.State) { s.Nonce = "another" }, "nonce"},
		"id token for another client":      {func(s *signintest.State) { s.Audience = "grafana" }, "audience"},
		"id token signed by another":       {func(s *signintest.State) { s.ForeignKey = true }, "signature"},
		"person says no":                   {func(s *signintest.State) { s.Deny = "access_denied" }, "access_denied"},
		"provider fails after the sign-in": {func(s *signintest.State) { s.Down = true }, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := signintest.NewProvider(t)
			client := newClient(t, provider)
			provider.Change(tt.change)
			done := make(chan struct{})
			tokens, err := client.Code(t.Context(), free(), func(address string) error {
				go func() { defer close(done); provider.Browser(t, address) }()
				return nil
			})
			<-done
			if err == nil || tokens != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("tokens %v, error %v; want %q", tokens, err, tt.want)
			}
		})
	}
}

// TestCodeWaitsForItsOwnAnswer shows that an answer with a strange state, as a page of an attacker can cause, neither signs in
// nor ends the sign-in that is waited for.
func TestCodeWaitsForItsOwnAnswer(t *testing.T) {
	t.Parallel()
	provider := signintest.NewProvider(t)
	client := newClient(t, provider)
	tokens, err := client.Code(t.Context(), free(), func(address string) error {
		parsed, err := url.Parse(address)
		if err != nil {
			return err
		}
		callback := parsed.Query().Get("redirect_uri")
		for _, strange := range []string{"?code=stolen&state=guess", "?code=stolen", "?error=access_denied", ""} {
			if got := status(t, callback+strange, ""); got != http.StatusBadRequest {
				t.Errorf("%q: status %d", strange, got)
			}
		}
		own := "?code=stolen&state=" + url.QueryEscape(parsed.Query().Get("state"))
		if got := status(t, callback+own, "evil.example"); got != http.StatusMisdirectedRequest {
			t.Errorf("another name for this address: status %d", got)
		}
		go provider.Browser(t, address)
		return nil
	})
	if err != nil || tokens.Subject != "jane" {
		t.Errorf("%+v, %v", tokens, err)
	}
}

func status(t *testing.T, address, host string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(string(page), "<script") {
		t.Errorf("the page is not self-contained: %q\n%s", policy, page)
	}
	return response.StatusCode
}

func TestCodeTakesTheFirstFreePort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := taken.Addr().(*net.TCPAddr).Port
	provider := signintest.NewProvider(t)
	client := newClient(t, provider)
	if _, err := client.Code(t.Context(), []int{port, 0}, func(address string) error {
		go provider.Browser(t, address)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := client.Code(t.Context(), []int{port}, nil); err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) || !strings.Contains(err.Error(), "--port") {
		t.Errorf("error %v", err)
	}
}

func TestCodeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	client := newClient(t, signintest.NewProvider(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := client.Code(ctx, free(), func(string) error {
		cancel(errors.New("enough"))
		return nil
	}); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("error %v", err)
	}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	provider := signintest.NewProvider(t)
	client := newClient(t, provider)
	tokens, err := client.Device(t.Context(), func(prompt oidclogin.Prompt) error {
		if prompt.Code != "ABCD-EFGH" || prompt.Address == "" || prompt.Complete == "" {
			t.Errorf("prompt %+v", prompt)
		}
		provider.Agree()
		return nil
	})
	if err != nil || tokens.Subject != "jane" {
		t.Errorf("%+v, %v", tokens, err)
	}
}

func TestPaste(t *testing.T) {
	t.Parallel()
	provider := signintest.NewProvider(t)
	client := newClient(t, provider)
	for name, tt := range map[string]struct {
		typed func(answer string) string
		want  string
	}{
		"the address":         {func(answer string) string { return "  " + answer + "\n" }, ""},
		"the code":            {func(answer string) string { return query(answer).Get("code") }, ""},
		"nothing":             {func(string) string { return " \n" }, "nothing"},
		"some text":           {func(string) string { return "what is this" }, "neither"},
		"another state":       {func(answer string) string { return strings.Replace(answer, "state=", "state=x", 1) }, "another sign-in"},
		"another issuer":      {func(answer string) string { return answer + "&iss=https://evil.example" }, "evil.example"},
		"a code that is none": {func(string) string { return "guess" }, "invalid_grant"},
		"a refusal": {func(answer string) string {
			return "http://127.0.0.1:8000/callback?error=access_denied&state=" + query(answer).Get("state")
		}, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := ""
			tokens, err := client.Paste(t.Context(), 0, func(address string) error {
				answer = provider.Answer(t, address)
				return nil
			}, func(context.Context) (string, error) { return tt.typed(answer), nil })
			switch {
			case tt.want == "" && (err != nil || tokens.Subject != "jane"):
				t.Errorf("%+v, %v", tokens, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

func query(address string) url.Values {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil
	}
	return parsed.Query()
}

func TestRefreshIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change   func(*signintest.State)
		want     string
		noAnswer bool
	}{
		"disabled":      {func(s *signintest.State) { s.Disabled = true }, "invalid_grant", false},
		"somebody else": {func(s *signintest.State) { s.Subject = "eve" }, "somebody else", false},
		"no id token":   {func(s *signintest.State) { s.NoIDTokenOnRefresh = true }, "no ID token", true},
		"down":          {func(s *signintest.State) { s.Down = true }, "503", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			provider := signintest.NewProvider(t)
			client := newClient(t, provider)
			tokens, err := client.Code(t.Context(), free(), func(address string) error {
				go provider.Browser(t, address)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			provider.Change(tt.change)
			_, err = client.Refresh(t.Context(), tokens.Refresh, tokens.Subject)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			if _, noAnswer := errors.AsType[*signin.NoAnswerError](err); noAnswer != tt.noAnswer {
				t.Errorf("no answer: %t, want %t: %v", noAnswer, tt.noAnswer, err)
			}
		})
	}
}

// TestRotatedRefreshTokenIsKept shows that the next refresh token comes back even when the ID token is missing: the provider
// has ended the old one.
func TestRotatedRefreshTokenIsKept(t *testing.T) {
	t.Parallel()
	provider := signintest.NewProvider(t)
	provider.Change(func(s *signintest.State) { s.Rotate = true })
	client := newClient(t, provider)
	first, err := client.Code(t.Context(), free(), func(address string) error {
		go provider.Browser(t, address)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	provider.Change(func(s *signintest.State) { s.NoIDTokenOnRefresh = true })
	broken, err := client.Refresh(t.Context(), first.Refresh, "jane")
	if err == nil || broken == nil || broken.Refresh.IsEmpty() {
		t.Fatalf("%+v, %v", broken, err)
	}
	provider.Change(func(s *signintest.State) { s.NoIDTokenOnRefresh = false })
	if _, err := client.Refresh(t.Context(), broken.Refresh, "jane"); err != nil {
		t.Error(err)
	}
}

func TestNewRefusesProviders(t *testing.T) {
	t.Parallel()
	good := signintest.NewProvider(t).Config("corp")
	for name, tt := range map[string]struct {
		change func(*adminapi.SignInProvider)
		want   string
	}{
		"in clear":        {func(p *adminapi.SignInProvider) { p.Issuer = strings.Replace(p.Issuer, "https", "http", 1) }, "no https"},
		"unknown CA":      {func(p *adminapi.SignInProvider) { p.CertificateAuthorityData = nil }, "certificate"},
		"CA that is none": {func(p *adminapi.SignInProvider) { p.CertificateAuthorityData = []byte("x") }, "no certificate in PEM"},
		"another issuer":  {func(p *adminapi.SignInProvider) { p.Issuer += "/" }, "issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good
			tt.change(&config)
			if _, err := oidclogin.New(t.Context(), config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want %q", err, tt.want)
			}
		})
	}
}

// TestProviderNamesOtherPlaces refuses a provider that sends codes and refresh tokens in clear, or the browser to what is no page.
func TestProviderNamesOtherPlaces(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint", "revocation_endpoint"} {
		for _, address := range []string{"http://idp.example/x", "file:///etc/passwd", "--help", "https:", "smb://idp.example/x"} {
			t.Run(name+" "+address, func(t *testing.T) {
				t.Parallel()
				provider := signintest.NewProvider(t)
				provider.Change(func(s *signintest.State) { s.Metadata = map[string]any{name: address} })
				if _, err := oidclogin.New(t.Context(), provider.Config("corp")); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
	provider := signintest.NewProvider(t) // what need not be there
	provider.Change(func(s *signintest.State) {
		s.Metadata = map[string]any{"device_authorization_endpoint": "", "revocation_endpoint": ""}
	})
	client := newClient(t, provider)
	if err := client.Revoke(t.Context(), secret.New("x")); err != nil {
		t.Error(err)
	}
}

// TestProviderNamesItself: where a provider does so in every answer, one that does not is somebody else's.
func TestProviderNamesItself(t *testing.T) {
	t.Parallel()
	for _, names := range []bool{true, false} {
		provider := signintest.NewProvider(t)
		provider.Change(func(s *signintest.State) {
			s.Named, s.Metadata = names, map[string]any{"authorization_response_iss_parameter_supported": true}
		})
		client := newClient(t, provider)
		done := make(chan struct{})
		_, err := client.Code(t.Context(), free(), func(address string) error {
			go func() { defer close(done); provider.Browser(t, address) }()
			return nil
		})
		<-done
		if names != (err == nil) || err != nil && !strings.Contains(err.Error(), "does not say") {
			t.Errorf("it names itself: %t; %v", names, err)
		}
	}
}

// TestProviderWritesToTheTerminal: what a provider answers beside the protocol steers no terminal.
func TestProviderWritesToTheTerminal(t *testing.T) {
	t.Parallel()
	provider := signintest.NewProvider(t)
	provider.Change(func(s *signintest.State) { s.Down, s.Says = true, "\x1b]0;owned\a\r\nerror: nothing is wrong" })
	client := newClient(t, provider)
	_, err := client.Refresh(t.Context(), secret.New("x"), "jane")
	if err == nil || !strings.Contains(err.Error(), "503") || strings.ContainsFunc(err.Error(), unicode.IsControl) {
		t.Errorf("error %q", err)
	}
}
