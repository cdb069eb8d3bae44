package oidclogin

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Paste signs in with a browser on another machine, which the provider sends to an address where nobody answers. show is given
// the address at which the person signs in; read returns what the person then copies: the address at which the browser
// ended, or the code alone. port is part of what a provider may have on record; where it is 0, the first of DefaultPorts is used.
func (c *Client) Paste(ctx context.Context, port int, show func(address string) error, read func(context.Context) (string, error)) (*Tokens, error) {
	if port == 0 {
		port = DefaultPorts()[0]
	}
	a := c.begin("http://127.0.0.1:" + strconv.Itoa(port) + callbackPath)
	if err := show(a.url()); err != nil {
		return nil, err
	}
	text, err := read(ctx)
	if err != nil {
		return nil, err
	}
	code, err := c.pasted(a, text)
	if err != nil {
		return nil, err
	}
	return c.redeem(ctx, a, code)
}

// pasted reads what a person copied. A code without an address comes without the state; the provider gives tokens for it only
// if it belongs to this attempt's PKCE verifier, and the nonce is checked.
func (c *Client) pasted(a *attempt, text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("nothing was typed in")
	}
	if !strings.Contains(text, "?") {
		if strings.ContainsAny(text, " \t/") {
			return "", errors.New("that is neither an address with a code nor a code; copy the whole address of the page at which the browser ended")
		}
		return text, nil
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return "", errors.New("that is no address; copy the whole address of the page at which the browser ended")
	}
	return c.code(a, parsed.Query())
}
