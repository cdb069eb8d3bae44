// Package kubeapi is the gate's own access to a cluster whose callers it hands on by impersonation, and the one
// importer of client-go.
//
// Impersonation fails open: a request that lost its Impersonate-User header runs as the gate itself, which may act as
// anybody. The transports of this package are therefore the last line. They send a request only to the one server they
// were made for, only with an impersonated user on it, and never with an Authorization header other than the gate's own
// (client-go would let a caller's win).
//
// A kubeconfig supplies the credential and nothing else. Where the server is, whose certificate it has and what name is
// in it are the cluster's configuration, so that a kubeconfig from elsewhere can't send callers elsewhere. Trust is the
// given CA bundle, never the host's roots; no proxy is used, whatever the environment says.
package kubeapi
