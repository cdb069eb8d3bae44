package collect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ostiary/ostiary/internal/facts"
)

// maxFileBytes bounds what is read of one file. Token files and bundles are kilobytes.
const maxFileBytes = 8 << 20

// file reads a file and says what can be known of it. Data is nil where it could not be read.
func (g *Gatherer) file(flag, name string) (facts.File, []byte) {
	described := facts.File{Flag: flag, Path: name}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		described.State = facts.Absent
		return described, nil
	}
	if err != nil {
		described.State, described.Problem = facts.Unreadable, err.Error()
		return described, nil
	}
	describeMode(&described, info)
	data, err := readBounded(name)
	if err != nil {
		described.State, described.Problem = facts.Unreadable, err.Error()
		return described, nil
	}
	described.State, described.Digest = facts.Read, g.digest(string(data))
	return described, data
}

// problemOf says why a file was not read.
func problemOf(file *facts.File) string {
	if file.State == facts.Absent {
		return "it is not there"
	}
	return file.Problem
}

// describeMode fills in who may read and change a file.
func describeMode(described *facts.File, info fs.FileInfo) {
	described.HasMode = hasOwners
	described.Mode = uint32(info.Mode().Perm())
	described.UID = owner(info)
	described.Changed = info.ModTime().UTC()
	if folder, err := os.Stat(filepath.Dir(described.Path)); err == nil {
		described.DirMode, described.DirUID = uint32(folder.Mode().Perm()), owner(folder)
	}
}

func readBounded(name string) (_ []byte, err error) {
	file, err := os.Open(name) //nolint:gosec // the operator names the files, or their API server does
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if info, err := file.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxFileBytes)
	}
	return data, nil
}
