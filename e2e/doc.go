// Package e2e is the root of a module of its own that holds what tests Ostiary from end to end: the real programs of
// Kubernetes and etcd, built from source at the versions that go.mod pins (see the tool lines there), a real OpenID
// Connect provider, a node that streams, and the demo.
//
// It is a module of its own because k8s.io/kubernetes needs a replace line for each of its published parts, which the
// main module must not have. The version of github.com/zitadel/oidc is the newest that asks for no newer dependency
// than Kubernetes itself does, so that the programs are built of exactly what their release was built of.
package e2e
