//go:build unix

package binaries

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the lock of the folder, so that test packages that run at the same time do not compile the same things
// beside each other. The kernel lets go of it when the process ends, however that happens.
func (b Builder) lock(ctx context.Context, file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644) //nolint:gosec // an empty file
	if err != nil {
		return nil, fmt.Errorf("open the lock of the folder for programs: %w", err)
	}
	fd := int(f.Fd())
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return func() { _ = f.Close() }, nil
	} else if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", file, err), f.Close())
	}
	b.say("another process is building; waiting for it")
	var lockErr error // valid when locked is closed
	locked := make(chan struct{})
	go func() {
		defer close(locked)
		for {
			if lockErr = unix.Flock(fd, unix.LOCK_EX); !errors.Is(lockErr, unix.EINTR) {
				return
			}
		}
	}()
	select {
	case <-locked:
		if lockErr != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file, lockErr), f.Close())
		}
		return func() { _ = f.Close() }, nil
	case <-ctx.Done():
		// The goroutine keeps the file until it gets the lock, then lets go of both.
		go func() {
			<-locked
			_ = f.Close()
		}()
		return nil, fmt.Errorf("wait for the lock %s: %w", file, context.Cause(ctx))
	}
}
