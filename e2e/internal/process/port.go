package process

import (
	"fmt"
	"net"
	"strings"
)

// FreePorts returns n different TCP ports of 127.0.0.1 that nobody listened on a moment ago. Somebody else may take
// one before the program that it is meant for does: start again with new ones when PortTaken says so.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		// All are held until the end, so that no port comes twice.
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local and immediate
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// PortTaken tells whether the program has ended because a port was taken.
func (p *Process) PortTaken() bool {
	select {
	case <-p.done:
	default:
		return false
	}
	tail, err := Tail(p.spec.Log)
	return err == nil && strings.Contains(tail, "address already in use")
}
