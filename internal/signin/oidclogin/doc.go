// Package oidclogin signs a person in at an OpenID Connect provider, as a public client: no secret is kept anywhere, and a
// code is of no use to whoever steals it (PKCE, RFC 7636).
//
// There are three ways. Code opens a browser on this machine and waits on a port of the loopback interface for the answer
// (RFC 8252). Device shows an address and a code for a browser anywhere (RFC 8628). Paste shows an address, and has the
// address typed in at which the browser ended. Refresh gets a new ID token later, without the person.
package oidclogin
