package controlplane

import (
	"context"
	"errors"
	"fmt"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

// APIServer is kube-apiserver's process, for tests that freeze, continue or kill it.
func (c *ControlPlane) APIServer() (*process.Process, error) {
	for _, p := range c.processes {
		if p.Name() == string(binaries.KubeAPIServer) {
			return p, nil
		}
	}
	return nil, errors.New("kube-apiserver was never started")
}

// RestartAPIServer starts kube-apiserver again, on the same port and with the same data, and waits until it is ready.
// The one before must have ended. It is not safe for concurrent use with other methods that concern processes.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	for i, p := range c.processes {
		if p.Name() != string(binaries.KubeAPIServer) {
			continue
		}
		next, err := p.Restart()
		if err != nil {
			return err
		}
		c.processes[i] = next
		return c.awaitReady(ctx, next, func(ctx context.Context) error {
			_, err := c.Admin.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
			return err
		})
	}
	return fmt.Errorf("restart %s: it was never started", binaries.KubeAPIServer)
}
