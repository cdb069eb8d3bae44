//go:build linux || darwin || freebsd

package agent

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// checkPeer makes sure that the other end of a socket is a process of the same user, as the kernel says.
func checkPeer(conn net.Conn) error { return peerIs(conn, os.Geteuid()) }

// onSocket calls a function with the descriptor of a connection.
func onSocket(conn net.Conn, check func(fd int) error) error {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("who is at the other end of the agent's socket cannot be asked of a %T", conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var verdict error
	if err := raw.Control(func(fd uintptr) { verdict = check(int(fd)) }); err != nil {
		return err
	}
	if verdict != nil {
		return fmt.Errorf("the other end of the agent's socket is not this user's: %w", verdict)
	}
	return nil
}
