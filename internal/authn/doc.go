// Package authn decides who a caller is. It holds the contract between the gateway and the mechanisms (Request, Answer,
// Credential) and the Chain that asks the mechanisms in Kubernetes' own order.
//
// A mechanism gives one of three answers. "No credential of mine" lets the next one try. "Accepted" ends the search:
// the credential then meets policy, and a refusal there ends the request, since a credential that was recognised and
// refused must not be outvoted by a weaker one. "Rejected" is remembered and the next mechanism is still asked
// (CHAIN-2), but anonymous access is not (CHAIN-3). A technical failure is a rejection that the log tells apart.
//
// The package knows no mechanism, no configuration and no proxy: mechanisms live in the folders below it, and
// package server puts them in order.
package authn
