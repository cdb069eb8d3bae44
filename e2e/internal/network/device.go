//go:build linux

package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// deviceName is the interface's name, in a namespace where there is no other but the loopback one.
const deviceName = "wire0"

// make makes the machine: a namespace with a loopback address, and a device that leads to the others.
func (h *Host) make() error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread stays on the machine, and ends with this goroutine
		done <- h.makeHere()
	}()
	return <-done
}

func (h *Host) makeHere() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAllowed, err)
	}
	var err error
	if h.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	if err := up("lo", netip.Addr{}); err != nil {
		return err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%w: /dev/net/tun: %w", ErrNotAllowed, err)
	}
	request, err := unix.NewIfreq(deviceName)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make a device: %w", err), unix.Close(fd))
	}
	h.device = os.NewFile(uintptr(fd), h.Name)
	return up(deviceName, h.Address)
}

// up takes an interface of this thread's namespace into use, with an address if there is one.
func up(name string, address netip.Addr) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }()
	set := func(what uint, change func(*unix.Ifreq) error) error {
		request, err := unix.NewIfreq(name)
		if err == nil {
			err = change(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(socket, what, request)
		}
		if err != nil {
			return fmt.Errorf("set up interface %s (%#x): %w", name, what, err)
		}
		return nil
	}
	if address.IsValid() {
		ip := address.As4()
		for _, one := range []struct {
			what   uint
			change func(*unix.Ifreq) error
		}{
			{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }},
			{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
			{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
		} {
			if err := set(one.what, one.change); err != nil {
				return err
			}
		}
	}
	return set(unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil })
}

// splice joins a connection with one to an address of this process's own namespace.
func splice(ctx context.Context, near net.Conn, address string) {
	defer func() { _ = near.Close() }()
	var dialer net.Dialer
	far, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return // the near side sees its connection end
	}
	defer func() { _ = far.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = near.Close(), far.Close() })
	defer stop()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			if half, ok := pair[0].(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
}
