//go:build unix && !solaris && !aix

package statictoken

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other conversions away from file until it is closed.
func lock(file *os.File) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	if err := connection.Control(func(fd uintptr) {
		locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	}); err != nil {
		return err
	}
	if errors.Is(locked, syscall.EWOULDBLOCK) {
		return ErrBusy
	}
	return locked
}

// keepOwner gives file the owner and group of like.
func keepOwner(file *os.File, like os.FileInfo) error {
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	want, ok := like.Sys().(*syscall.Stat_t)
	have, alsoOK := mine.Sys().(*syscall.Stat_t)
	if !ok || !alsoOK {
		return errors.ErrUnsupported
	}
	if want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	return file.Chown(int(want.Uid), int(want.Gid))
}

// linkCount is the number of names that a file has.
func linkCount(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink) //nolint:unconvert // 16 bits wide on some systems
	}
	return 1
}
