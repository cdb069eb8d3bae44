//go:build linux

package network_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/network"
)

// wait bounds what must not happen on a wire that is cut: many times what a packet takes.
const wait = 300 * time.Millisecond

// echo serves a machine's port; every connection gets back what it sends.
func echo(t *testing.T, h *network.Host) net.Listener {
	t.Helper()
	listener, err := h.Listen(t.Context(), net.JoinHostPort(h.Address.String(), "7"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(connection, connection) }()
		}
	}()
	return listener
}

// say sends a word and reads it again before the deadline.
func say(c net.Conn, word string, within time.Duration) error {
	_ = c.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(c, word); err != nil {
		return err
	}
	got := make([]byte, len(word))
	_, err := io.ReadFull(c, got)
	return err
}

// TestWires: what is cut is silent, both ways and one way, connections outlive it, and delay is delay.
func TestWires(t *testing.T) {
	n, err := network.New("a", "b", "c")
	if errors.Is(err, network.ErrNotAllowed) {
		t.Logf("nothing is tested here: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	a, b, c := n.Hosts[0], n.Hosts[1], n.Hosts[2]
	address := echo(t, b).Addr().String()
	connect := func(from *network.Host) net.Conn {
		t.Helper()
		connection, err := from.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		return connection
	}
	fromA, fromC := connect(a), connect(c)
	for _, both := range []bool{true, false} {
		if err := say(fromA, "before", time.Minute); err != nil {
			t.Fatal(err)
		}
		n.Cut(b, a, both)
		if err := say(fromA, "cut", wait); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("on a wire that is cut: %v, want silence", err)
		}
		if err := say(fromC, "not cut", time.Minute); err != nil {
			t.Errorf("on another wire: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if connection, err := a.DialContext(ctx, "tcp", address); err == nil {
			_ = connection.Close()
			t.Error("a connection over a wire that is cut")
		}
		cancel()
		n.MendHost(a)
		// The word that was lost comes first, as TCP wants it.
		_ = fromA.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(fromA, make([]byte, len("cut"))); err != nil {
			t.Fatalf("the connection did not outlive the cut: %v", err)
		}
	}
	const slow = 20 * time.Millisecond
	n.Delay(slow)
	began := time.Now()
	if err := say(fromA, "slow", time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*slow {
		t.Errorf("a round trip took %s, want at least %s", took, 2*slow)
	}
}

// TestForward: the way to what is no part of the experiment.
func TestForward(t *testing.T) {
	n, err := network.New("a")
	if errors.Is(err, network.ErrNotAllowed) {
		t.Logf("nothing is tested here: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		if connection, err := listener.Accept(); err == nil {
			_, _ = io.Copy(connection, connection)
			_ = connection.Close()
		}
	}()
	if connection, err := n.Hosts[0].DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		_ = connection.Close()
		t.Fatal("the machine is not one of its own")
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Hosts[0].Forward(t.Context(), port); err != nil {
		t.Fatal(err)
	}
	connection, err := n.Hosts[0].DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := say(connection, "through", time.Minute); err != nil {
		t.Error(err)
	}
}
