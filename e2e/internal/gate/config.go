package gate

import (
	"maps"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// Object is a part of Ostiary's configuration as it is written. Whatever the file can say, a test can.
type Object = map[string]any

// RequestHeader is a cluster that Ostiary hands identities on to as an authenticating proxy.
func RequestHeader(plane *controlplane.ControlPlane, name string) (Object, error) {
	frontProxy, err := plane.FrontProxy()
	if err != nil {
		return nil, err
	}
	return cluster(plane, name, Object{"requestHeader": KeyPair(frontProxy)}), nil
}

// Impersonation is a cluster that Ostiary hands identities on to by impersonation, with the rights that the given
// kubeconfig has: see (*controlplane.ControlPlane).Impersonator.
func Impersonation(plane *controlplane.ControlPlane, name, kubeconfig string) Object {
	return cluster(plane, name, Object{"impersonation": Object{"kubeconfig": kubeconfig}})
}

func cluster(plane *controlplane.ControlPlane, name string, identity Object) Object {
	return Object{
		"name": name, "server": plane.URL, "certificateAuthorityFile": plane.ServingCAFile(), "identity": identity,
	}
}

// KeyPair is two files as the configuration names them.
func KeyPair(files pki.Files) Object { return Object{"certFile": files.Cert, "keyFile": files.Key} }

// ledgerKey is the key of a gate's ledger in its folder. Replicas of one ledger need one key, which their tests name.
const ledgerKey = "ledger.key"

// complete fills in what every configuration here needs and the test has no word on: free ports, the server's
// certificate, a file for the access log.
func complete(config Object, serving pki.Files, accessLog string) Object {
	full := Object{
		"apiVersion": "ostiary.dev/v1alpha1", "kind": "Configuration",
		"admin":     Object{"address": "127.0.0.1:0"},
		"accessLog": Object{"file": accessLog},
		// All clients of a test have one address, and many tests present wrong tokens by the hundred.
		"lockout": Object{"disabled": true},
	}
	maps.Copy(full, config)
	listen := Object{"address": "127.0.0.1:0", "tls": KeyPair(serving)}
	if written, ok := full["listen"].(Object); ok {
		maps.Copy(listen, written)
	}
	full["listen"] = listen
	if written, ok := full["ledger"].(Object); ok {
		ledger := Object{"keyFile": ledgerKey}
		maps.Copy(ledger, written)
		full["ledger"] = ledger
	}
	if written, ok := full["tokenReview"].(Object); ok {
		reviews := Object{"address": "127.0.0.1:0", "tls": KeyPair(serving)}
		maps.Copy(reviews, written)
		full["tokenReview"] = reviews
	}
	return full
}
