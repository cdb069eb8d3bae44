//go:build unix

package config

import (
	"os"
	"syscall"
)

// ofRoot reports whether a file belongs to root, and this process does not run as root.
func ofRoot(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0 && os.Geteuid() != 0
}
