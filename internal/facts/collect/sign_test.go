package collect_test

import (
	"testing"

	"k8s.io/cluster-bootstrap/token/jws"
)

// sign signs as the controller of cluster-info does.
func sign(t *testing.T, content, id, secret string) string {
	t.Helper()
	signature, err := jws.ComputeDetachedSignature(content, id, secret)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}
