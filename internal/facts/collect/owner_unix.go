//go:build unix

package collect

import (
	"io/fs"
	"syscall"
)

// hasOwners says whether permission bits and owners mean something here.
const hasOwners = true

func owner(info fs.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}
