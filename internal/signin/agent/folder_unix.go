//go:build unix

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	// folderMode lets nobody but the owner in.
	folderMode = 0o700
	// maxSocketPath is how long the path of a socket may be, in bytes, on every system: sun_path has 104 with the zero at its end.
	maxSocketPath = 103
)

// Folder returns the folder of the socket, and makes it where it is not there: ostiary in XDG_RUNTIME_DIR, or ostiary-UID
// among the system's temporary files. It refuses a folder that another user has made or can enter, and
// one whose name is too long.
func Folder() (string, error) {
	uid := os.Geteuid()
	folder := filepath.Join(os.TempDir(), "ostiary-"+strconv.Itoa(uid))
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		folder = filepath.Join(runtime, "ostiary")
	}
	if path := filepath.Join(folder, socketName); len(path) > maxSocketPath {
		return "", fmt.Errorf("%s is too long for the path of the agent's socket (%d bytes, of %d at the most); set XDG_RUNTIME_DIR to a folder with a shorter name", path, len(path), maxSocketPath)
	}
	if err := os.Mkdir(folder, folderMode); err != nil && !errors.Is(err, os.ErrExist) { //nolint:gosec // the user's own environment names it
		return "", fmt.Errorf("no folder for the agent's socket; set XDG_RUNTIME_DIR to one of your own: %w", err)
	}
	info, err := os.Lstat(folder) //nolint:gosec // as above
	if err != nil {
		return "", fmt.Errorf("no folder for the agent's socket: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return "", fmt.Errorf("%s is no folder: somebody put it there; remove it, or set XDG_RUNTIME_DIR to a folder of your own", folder)
	case !ok || int64(owner.Uid) != int64(uid):
		return "", fmt.Errorf("%s belongs to another user; set XDG_RUNTIME_DIR to a folder of your own", folder)
	case info.Mode().Perm()&^folderMode != 0:
		return "", fmt.Errorf("%s can be entered by others (mode %#o); give it mode 0700", folder, info.Mode().Perm())
	}
	return folder, nil
}
