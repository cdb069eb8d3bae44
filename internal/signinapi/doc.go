// Package signinapi is where people and pipelines sign in at the gate: a token that a cluster's chain accepts is exchanged for a
// short-lived credential of Ostiary's own (RFC 8693). The chain judges the token as if it had been presented to a cluster, so that
// its rules, networks, locks and revocations hold here, and there is no second policy to keep in step.
//
// None of the endpoints takes a Kubernetes credential unless it says so; whoever guesses at tokens here is locked out like
// anywhere else. docs/signing-in.md has the wire format.
package signinapi
