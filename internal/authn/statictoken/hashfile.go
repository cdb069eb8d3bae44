package statictoken

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

var (
	// ErrBusy says that another conversion of the same file is under way.
	ErrBusy = errors.New("another conversion of the file is under way: wait for it to end")
	// ErrChanged says that the file was changed while it was being converted. Nothing was written.
	ErrChanged = errors.New("the file was changed while it was being converted, nothing was written: try again")
)

// HashFile converts a token file in place, as Hash does: "ostiary config hash-tokens". On an error the file is as it
// was. A file without tokens in clear text is not written at all.
//
// The new file replaces the old one by a rename in the same folder, so that a reader sees either of them whole, also
// after a power failure. It has the old one's mode and owner; where the owner cannot be kept, nothing is written. ACLs
// and other extended attributes are not kept.
//
// These are refused, because the clear text would stay where it is under another name:
//   - a symbolic link, as in a mounted Secret: the rename would replace the link and not the file,
//   - a file with several hard links.
//
// Two conversions at once, and an editor that saves in between, are recognised (ErrBusy, ErrChanged); an editor that
// writes within the moment between the last look and the rename is not.
func HashFile(path string) (Report, error) {
	report, err := hashFile(path, func() {})
	if err != nil {
		return Report{}, fmt.Errorf("hash the tokens of %s: %w", path, err)
	}
	return report, nil
}

// hashFile does the work of HashFile. Tests use beforeRename to meddle at the worst moment.
func hashFile(path string, beforeRename func()) (_ Report, err error) {
	// All further steps are relative to the folder as it was found, wherever its path leads later.
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	name := filepath.Base(path)

	original, info, err := openPlain(folder, name)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, original.Close()) }()
	if err := lock(original); err != nil {
		return Report{}, err
	}

	data, err := readBounded(original)
	if err != nil {
		return Report{}, err
	}
	defer clear(data)
	converted, report, err := Hash(data)
	if err != nil || len(report.Converted) == 0 {
		return report, err
	}

	temporary, err := writeTemporary(folder, name, converted, info)
	if err != nil {
		return Report{}, err
	}
	defer func() {
		if temporary != "" {
			err = errors.Join(err, folder.Remove(temporary))
		}
	}()
	beforeRename()
	if err := unchanged(folder, name, original, info, data); err != nil {
		return Report{}, err
	}
	if err := folder.Rename(temporary, name); err != nil {
		return Report{}, err
	}
	temporary = ""
	if err := syncFolder(folder); err != nil {
		return Report{}, fmt.Errorf("the file was converted, but a power failure may still undo it: %w", err)
	}
	return report, nil
}

// openPlain opens the file that name itself is, never one that it leads to.
func openPlain(folder *os.Root, name string) (_ *os.File, _ os.FileInfo, err error) {
	named, err := folder.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if named.Mode()&os.ModeSymlink != 0 {
		return nil, nil, errors.New("it is a symbolic link: name the file that it leads to; in a mounted Secret or ConfigMap, convert the source")
	}
	if !named.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a regular file")
	}
	if links := linkCount(named); links > 1 {
		return nil, nil, fmt.Errorf("it has %d names (hard links), of which only one would be converted: remove the others", links)
	}
	file, err := folder.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(named, info) {
		err = ErrChanged
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// readBounded reads a file from its start, up to a byte more than Parse takes.
func readBounded(file *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(file, 0, MaxFileBytes+1))
}

// writeTemporary writes the new file beside the old one, with its mode and owner, and onto the disk.
func writeTemporary(folder *os.Root, name string, data []byte, like os.FileInfo) (_ string, err error) {
	const ownerOnly = 0o600
	temporary := "." + name + "." + newID()
	file, err := folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownerOnly)
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, folder.Remove(temporary))
		}
	}()
	if _, err := file.Write(data); err != nil {
		return "", err
	}
	if err := keepOwner(file, like); err != nil {
		return "", fmt.Errorf("keep the file's owner: %w", err)
	}
	// After the owner, as a change of owner may take mode bits away.
	if err := file.Chmod(like.Mode().Perm()); err != nil {
		return "", err
	}
	return temporary, file.Sync()
}

// unchanged looks whether name is still the file that was read and still holds what was read.
func unchanged(folder *os.Root, name string, original *os.File, info os.FileInfo, data []byte) error {
	now, err := folder.Lstat(name)
	if err != nil {
		return errors.Join(ErrChanged, err)
	}
	if !os.SameFile(now, info) {
		return ErrChanged
	}
	again, err := readBounded(original)
	if err != nil {
		return err
	}
	defer clear(again)
	if !bytes.Equal(again, data) {
		return ErrChanged
	}
	return nil
}

// syncFolder makes the rename last.
func syncFolder(folder *os.Root) (err error) {
	directory, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	return directory.Sync()
}
