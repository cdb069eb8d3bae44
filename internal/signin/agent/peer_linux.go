package agent

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerIs makes sure that the other end of a socket is a process of a user (SO_PEERCRED).
func peerIs(conn net.Conn, uid int) error {
	return onSocket(conn, func(fd int) error {
		peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return err
		}
		if int64(peer.Uid) != int64(uid) {
			return fmt.Errorf("it is user %d (process %d)", peer.Uid, peer.Pid)
		}
		return nil
	})
}
