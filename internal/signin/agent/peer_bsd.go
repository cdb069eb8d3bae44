//go:build darwin || freebsd

package agent

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerIs makes sure that the other end of a socket is a process of a user (LOCAL_PEERCRED).
func peerIs(conn net.Conn, uid int) error {
	return onSocket(conn, func(fd int) error {
		peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			return err
		}
		if int64(peer.Uid) != int64(uid) {
			return fmt.Errorf("it is user %d", peer.Uid)
		}
		return nil
	})
}
