// Package signin is the client's half of signing in at a gate: it asks how that is done, makes a key, and exchanges a token
// that the gate's own mechanisms accept for a short-lived credential of the gate's (RFC 8693).
//
// The packages below it are the rest of that half: oidclogin gets the token from an OpenID Connect provider, agent keeps
// keys and refresh tokens in memory and renews what they are for, and sealed keeps them in an encrypted file instead, whose key may be in
// the system's keyring. Nothing here is linked into the server.
package signin
