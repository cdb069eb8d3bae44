//go:build linux

// Package network makes machines of one kernel: each has a network namespace of its own, and all are joined by wires that
// a test can cut, one way or both, or make slow.
//
// The wires are in user space: every machine's only interface to the others is a TUN device, and this package carries the
// packets between them. A packet on a wire that is cut is dropped without a word, as by a switch that lost its power: no
// reset, no refusal, no error at the sender. Nothing on the machine itself is changed; what was made vanishes with the
// process. It takes root, or a user namespace in which this process is root.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxPacket is above every packet's size: the devices have mtu.
	maxPacket = 64 << 10
	mtu       = 9000
	// queued is how many packets a wire holds. More are dropped, as by a switch.
	queued = 4096
	// subnet is what the machines' addresses begin with. They are seen by nobody else.
	subnet = "10.77.0."
	// firstHost is the last part of the first machine's address.
	firstHost = 10
)

// ErrNotAllowed is wrapped by New's error where this process may not make namespaces or devices.
var ErrNotAllowed = errors.New("network: this process may not make network namespaces")

// Network is machines joined by wires. It is safe for concurrent use.
type Network struct {
	// Hosts are the machines, in the order of their names.
	Hosts []*Host
	delay atomic.Int64 // of one way, in nanoseconds
	cuts  [][]atomic.Bool
	work  sync.WaitGroup
}

// Host is a machine. It is safe for concurrent use.
type Host struct {
	// Name is the one given, Address the only one that the others reach it by.
	Name    string
	Address netip.Addr

	index     int
	namespace *os.File
	device    *os.File
	wires     []chan packet // by where they lead
}

// packet is one on its way.
type packet struct {
	due  time.Time
	data []byte
}

// New makes machines and joins each with each. Whoever calls it must call Close.
func New(names ...string) (_ *Network, err error) {
	n := &Network{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	for i, name := range names {
		address, err := netip.ParseAddr(fmt.Sprintf("%s%d", subnet, firstHost+i))
		if err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
		h := &Host{Name: name, Address: address, index: i}
		for range names {
			h.wires = append(h.wires, make(chan packet, queued))
		}
		n.Hosts = append(n.Hosts, h)
		n.cuts = append(n.cuts, make([]atomic.Bool, len(names)))
		if err := h.make(); err != nil {
			return nil, fmt.Errorf("network: make %s: %w", name, err)
		}
	}
	for _, h := range n.Hosts {
		n.work.Go(func() { n.send(h) })
		for to, wire := range h.wires {
			n.work.Go(func() { n.carry(h.index, to, wire) })
		}
	}
	return n, nil
}

// Close takes everything down. Programs on the machines must have ended.
func (n *Network) Close() error {
	var errs []error
	for _, h := range n.Hosts {
		if h.device != nil {
			errs = append(errs, h.device.Close())
		}
	}
	n.work.Wait()
	for _, h := range n.Hosts {
		if h.namespace != nil {
			errs = append(errs, h.namespace.Close())
		}
	}
	return errors.Join(errs...)
}

// Cut drops what goes from one machine to another, and the other way too if both is set.
func (n *Network) Cut(from, to *Host, both bool) {
	n.cuts[from.index][to.index].Store(true)
	if both {
		n.cuts[to.index][from.index].Store(true)
	}
}

// Mend ends all cuts.
func (n *Network) Mend() {
	for i := range n.cuts {
		for j := range n.cuts[i] {
			n.cuts[i][j].Store(false)
		}
	}
}

// MendHost ends the cuts between one machine and all others.
func (n *Network) MendHost(h *Host) {
	for i := range n.cuts {
		n.cuts[i][h.index].Store(false)
		n.cuts[h.index][i].Store(false)
	}
}

// Delay makes every packet take that long, one way. Zero is as fast as can be.
func (n *Network) Delay(oneWay time.Duration) { n.delay.Store(int64(oneWay)) }

// send takes what a machine sends to the wire that leads to the receiver.
func (n *Network) send(h *Host) {
	defer func() {
		for _, wire := range h.wires {
			close(wire)
		}
	}()
	buffer := make([]byte, maxPacket)
	for {
		size, err := h.device.Read(buffer)
		if err != nil {
			return // it was closed
		}
		to, ok := n.receiver(buffer[:size])
		if !ok || n.cuts[h.index][to].Load() {
			continue
		}
		select {
		case h.wires[to] <- packet{time.Now().Add(time.Duration(n.delay.Load())), append([]byte(nil), buffer[:size]...)}:
		default:
		}
	}
}

// carry takes packets to their receiver when they are due.
func (n *Network) carry(from, to int, wire <-chan packet) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p := range wire {
		if early := time.Until(p.due); early > 0 {
			timer.Reset(early)
			<-timer.C
		}
		if !n.cuts[from][to].Load() {
			// A device that was closed takes no more; there is nobody to tell.
			_, _ = n.Hosts[to].device.Write(p.data)
		}
	}
}

// receiver reads the destination of an IPv4 packet (RFC 791, section 3.1). Others are nobody's.
func (n *Network) receiver(data []byte) (index int, ok bool) {
	const header, version, destination = 20, 4, 16
	if len(data) < header || data[0]>>4 != version {
		return 0, false
	}
	index = int(data[header-1]) - firstHost
	if index < 0 || index >= len(n.Hosts) || netip.AddrFrom4([4]byte(data[destination:header])) != n.Hosts[index].Address {
		return 0, false
	}
	return index, true
}

// Enter moves the calling thread to the machine. The goroutine must be locked to it, and never unlocked: the thread ends with it.
func (h *Host) Enter() error {
	if err := unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network: enter %s: %w", h.Name, err)
	}
	return nil
}

// on runs a function on a thread that is on the machine. Sockets stay there, whoever uses them.
func (h *Host) on(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread is of no use to others
		if err := h.Enter(); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

// DialContext connects from the machine, as net.Dialer does. The address is an IP address with a port.
func (h *Host) DialContext(ctx context.Context, network, address string) (connection net.Conn, err error) {
	err = h.on(func() error {
		var dialer net.Dialer
		connection, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return connection, err
}

// Listen listens on the machine.
func (h *Host) Listen(ctx context.Context, address string) (listener net.Listener, err error) {
	err = h.on(func() error {
		var config net.ListenConfig
		listener, err = config.Listen(ctx, "tcp", address)
		return err
	})
	return listener, err
}

// Forward makes a port of the machine's loopback address lead to the same port of this process's own, until ctx ends: the
// way to what is no part of the experiment. It is never cut.
func (h *Host) Forward(ctx context.Context, port string) error {
	address := net.JoinHostPort("127.0.0.1", port)
	listener, err := h.Listen(ctx, address)
	if err != nil {
		return fmt.Errorf("network: forward port %s of %s: %w", port, h.Name, err)
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // it was closed
			}
			go splice(ctx, connection, address)
		}
	}()
	return nil
}
