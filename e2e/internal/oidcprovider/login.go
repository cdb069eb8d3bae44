package oidcprovider

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"
)

// pageLimit bounds what is read of a page.
const pageLimit = 1 << 20

// Login signs a user in as a browser and a program on its machine would: authorization request with PKCE, sign-in
// form, redirect, code for token. It returns the ID token. A wrong password is an error.
func (p *Provider) Login(ctx context.Context, user, password string) (idToken string, err error) {
	idToken, err = p.login(ctx, user, password)
	if err != nil {
		return "", fmt.Errorf("sign %s in at %s: %w", user, p.Issuer, err)
	}
	return idToken, nil
}

func (p *Provider) login(ctx context.Context, user, password string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := p.HTTPClient()
	defer browser.CloseIdleConnections()
	browser.Jar = jar
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirectURI) {
			return http.ErrUseLastResponse // the program's own address: the code has arrived
		}
		return nil
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, browser)
	config, err := p.oauth2Config(ctx, browser)
	if err != nil {
		return "", err
	}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	location, err := fill(ctx, browser, config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), user, password)
	if err != nil {
		return "", err
	}
	answer := location.Query()
	if answer.Get("state") != state || answer.Get("code") == "" {
		return "", fmt.Errorf("the answer is %s, which holds no code for this sign-in", location.Redacted())
	}
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return "", err
	}
	idToken, ok := token.Extra("id_token").(string)
	if !ok {
		return "", errors.New("the answer holds no ID token")
	}
	return idToken, nil
}

// LetIn lets a machine in that waits for a user, at the page that it named (RFC 8628 section 3.3.1), as a browser would. A wrong
// password or code is an error.
func (p *Provider) LetIn(ctx context.Context, page, user, password string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := p.HTTPClient()
	defer browser.CloseIdleConnections()
	browser.Jar = jar
	if _, err := fill(ctx, browser, page, user, password); err != nil {
		return fmt.Errorf("let a machine in for %s: %w", user, err)
	}
	return nil
}

// fill opens a page with a form that asks for a name and a password, sends it, and returns where the browser ends.
func fill(ctx context.Context, browser *http.Client, address, user, password string) (*url.URL, error) {
	page, location, err := do(ctx, browser, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	form := url.Values{"username": {user}, "password": {password}}
	for _, field := range regexp.MustCompile(`name="([^"]+)" value="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		form.Set(field[1], field[2])
	}
	_, location, err = do(ctx, browser, http.MethodPost, location.String(), form)
	return location, err
}

// oauth2Config asks the provider where its endpoints are.
func (p *Provider) oauth2Config(ctx context.Context, browser *http.Client) (*oauth2.Config, error) {
	raw, _, err := do(ctx, browser, http.MethodGet, p.Issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, err
	}
	var discovered struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
	}
	if err := json.Unmarshal([]byte(raw), &discovered); err != nil {
		return nil, fmt.Errorf("read the discovery document: %w", err)
	}
	return &oauth2.Config{
		ClientID:    p.ClientID,
		RedirectURL: redirectURI,
		Scopes:      []string{"openid", "email", groupsClaim},
		Endpoint: oauth2.Endpoint{
			AuthURL: discovered.Authorization, TokenURL: discovered.Token, AuthStyle: oauth2.AuthStyleInParams,
		},
	}, nil
}

// do makes one request, follows redirects, and returns the page and where it ended: the page's own address, or the
// program's when the browser is sent there.
func do(ctx context.Context, browser *http.Client, method, address string, form url.Values) (string, *url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := browser.Do(request)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(io.LimitReader(response.Body, pageLimit))
	if err != nil {
		return "", nil, err
	}
	if location, err := response.Location(); err == nil {
		return string(page), location, nil
	}
	if response.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s %s: %s: %s", method, response.Request.URL.Path, response.Status, page)
	}
	return string(page), response.Request.URL, nil
}
