package oidclogin

import (
	"context"
	"errors"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/ostiary/ostiary/internal/signin"
)

// Prompt is what a person needs to sign in with a browser on any machine.
type Prompt struct {
	// Address is where to go, and Code what to type in there.
	Address, Code string
	// Complete is the address with the code in it; empty where the provider gives none.
	Complete string
}

// Device signs in with a browser anywhere (RFC 8628). show is given what the person needs. It waits as slowly as the provider
// wants, until the code ends.
func (c *Client) Device(ctx context.Context, show func(Prompt) error) (*Tokens, error) {
	if c.config.Endpoint.DeviceAuthURL == "" {
		return nil, &signin.RefusedError{By: c.issuer, Description: "it offers no sign-in by device code"}
	}
	ctx = oidc.ClientContext(ctx, c.http)
	asked, err := c.config.DeviceAuth(ctx)
	if err != nil {
		return nil, c.failure(err)
	}
	if err := show(Prompt{Address: asked.VerificationURI, Code: asked.UserCode, Complete: asked.VerificationURIComplete}); err != nil {
		return nil, err
	}
	token, err := c.config.DeviceAccessToken(ctx, asked)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errors.New("nobody signed in before the code ended; begin anew")
	case err != nil:
		return nil, c.failure(err)
	}
	return c.check(ctx, token, "")
}
