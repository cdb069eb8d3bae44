//go:build !linux && !darwin && !freebsd

package agent

import "net"

// checkPeer accepts: this system does not say who is at the other end of a socket, and the folder alone keeps others out.
func checkPeer(net.Conn) error { return nil }
