//go:build linux || darwin || freebsd

package agent

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPeer shows that the kernel is asked who is at the other end.
func TestPeer(t *testing.T) {
	folder := runtimeFolder(t)
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	near, err := net.Dial("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = far.Close() }()
	for _, conn := range []net.Conn{near, far} {
		if err := checkPeer(conn); err != nil {
			t.Error(err)
		}
		if err := peerIs(conn, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "not this user's") {
			t.Errorf("another user: %v", err)
		}
	}
	pipe, other := net.Pipe()
	defer func() { _, _ = pipe.Close(), other.Close() }()
	if err := checkPeer(pipe); err == nil {
		t.Error("a connection that cannot be asked is trusted")
	}
}
