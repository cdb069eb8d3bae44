// Package debian makes sure that programs of the Debian distribution are there, for tests against balancers that people
// run. They are installed with apt-get where they are missing, which takes root; what cannot be had is an error.
package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// installTimeout bounds an installation, with the download of package lists.
const installTimeout = 10 * time.Minute

// Program returns the path of a program, and installs the given packages if it, or one of the given files of theirs, is
// missing. One installation runs at a time, whichever process asks for it.
func Program(ctx context.Context, progress io.Writer, name string, packages, files []string) (string, error) {
	if path, ok := find(name, files); ok {
		return path, nil
	}
	unlock, err := lock(filepath.Join(os.TempDir(), "ostiary-apt.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if path, ok := find(name, files); ok {
		return path, nil
	}
	_, _ = fmt.Fprintf(progress, "installing %s with apt-get\n", strings.Join(packages, ", "))
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-qq", "--yes", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...) //nolint:gosec // the packages are written in tests
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s is needed, and apt-get %s failed: %w\n%s", name, strings.Join(args, " "), err, out)
		}
	}
	if path, ok := find(name, files); ok {
		return path, nil
	}
	return "", errors.New(name + " is not there although its packages are installed")
}

// find looks where programs of administrators are, too.
func find(name string, files []string) (string, bool) {
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return "", false
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	path, err := exec.LookPath(filepath.Join("/usr/sbin", name))
	return path, err == nil
}

// lock waits for the one lock of installations.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a name of our own
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
