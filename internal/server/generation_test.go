package server

import (
	"context"
	"crypto"
	"errors"
	"testing"

	"github.com/ostiary/ostiary/internal/gateway"
)

// keysOf is a cluster whose keys are known, or not.
type keysOf struct{ err error }

func (keysOf) Find(context.Context, string) []crypto.PublicKey { return nil }
func (k keysOf) Ready() error                                  { return k.err }

// TestOneClusterIsEnough: a cluster that does not say its keys keeps the gate from being ready only if there is no other.
func TestOneClusterIsEnough(t *testing.T) {
	t.Parallel()
	down := &upstream{gateway: &gateway.Cluster{Name: "down"}, keys: keysOf{errors.New("no keys yet")}}
	up := &upstream{gateway: &gateway.Cluster{Name: "up"}, keys: keysOf{}}
	plain := &upstream{gateway: &gateway.Cluster{Name: "plain"}}
	for _, tt := range []struct {
		name     string
		clusters []*upstream
		ready    bool
	}{
		{"the only one", []*upstream{down}, false},
		{"all", []*upstream{down, down}, false},
		{"one of two", []*upstream{down, up}, true},
		{"beside one whose tokens are not taken", []*upstream{down, plain}, true},
		{"none", nil, true},
	} {
		if err := (&generation{clusters: tt.clusters}).ready(); (err == nil) != tt.ready {
			t.Errorf("%s: %v, want ready %v", tt.name, err, tt.ready)
		}
	}
}
