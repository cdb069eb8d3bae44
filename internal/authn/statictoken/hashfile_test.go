//go:build unix

package statictoken_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ostiary/ostiary/internal/authn/statictoken"
)

const clearFile = tokenA + ",alice,1\n" + tokenB + ",bob,2\n"

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// onlyFile fails unless the folder of path holds nothing but path: no temporary file may stay.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	found, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Name() != filepath.Base(path) {
		t.Errorf("the folder holds %v, want the file only", found)
	}
}

func TestHashFileG12(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o444} {
		path := write(t, clearFile, mode)
		report, err := statictoken.HashFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Converted) != 2 {
			t.Errorf("report %+v, want two entries", report)
		}
		after := read(t, path)
		if strings.Contains(after, tokenA) || strings.Contains(after, tokenB) {
			t.Errorf("the file still holds a token: %q", after)
		}
		parse(t, after, statictoken.Options{})
		info, err := os.Stat(path)
		if err != nil || info.Mode() != mode {
			t.Errorf("mode %v, error %v: want mode %v", info.Mode(), err, mode)
		}
		onlyFile(t, path)
	}
}

func TestHashFileKeepsTheOwner(t *testing.T) {
	path := write(t, clearFile, 0o640)
	const someone = 4711
	if os.Geteuid() == 0 {
		if err := os.Chown(path, someone, someone); err != nil {
			t.Fatal(err)
		}
	}
	owner := func() [2]uint32 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stat := info.Sys().(*syscall.Stat_t)
		return [2]uint32{stat.Uid, stat.Gid}
	}
	before := owner()
	if _, err := statictoken.HashFile(path); err != nil {
		t.Fatal(err)
	}
	if after := owner(); after != before {
		t.Errorf("owner %v, want %v", after, before)
	}
}

func TestHashFileDoesNotWriteAHashedFile(t *testing.T) {
	path := write(t, hashed(idA, tokenA)+",alice,1\n", 0o600)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	report, err := statictoken.HashFile(path)
	if err != nil || report.AlreadyHashed != 1 || len(report.Converted) != 0 {
		t.Fatalf("report %+v, error %v", report, err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the file was written (%v)", err)
	}
}

func TestHashFileRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T) (path, target string)
		want    string
	}{
		{"a weak token", func(t *testing.T) (string, string) {
			t.Helper()
			path := write(t, clearFile+"hunter2,carol,3\n", 0o600)
			return path, path
		}, `line 3, user "carol"`},
		{"attack: a symbolic link", func(t *testing.T) (string, string) {
			t.Helper()
			target := write(t, clearFile, 0o600)
			path := filepath.Join(t.TempDir(), "tokens.csv")
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			return path, target
		}, "symbolic link"},
		{"attack: a hard link that keeps the clear text", func(t *testing.T) (string, string) {
			t.Helper()
			target := write(t, clearFile, 0o600)
			path := target + ".link"
			if err := os.Link(target, path); err != nil {
				t.Fatal(err)
			}
			return path, target
		}, "2 names (hard links)"},
		{"a folder", func(t *testing.T) (string, string) {
			t.Helper()
			return t.TempDir(), ""
		}, "not a regular file"},
		{"a pipe, which must not block", func(t *testing.T) (string, string) {
			t.Helper()
			path := filepath.Join(t.TempDir(), "pipe")
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			return path, ""
		}, "not a regular file"},
		{"no file", func(t *testing.T) (string, string) {
			t.Helper()
			return filepath.Join(t.TempDir(), "none"), ""
		}, "no such file"},
		{"no folder", func(t *testing.T) (string, string) {
			t.Helper()
			return filepath.Join(t.TempDir(), "none", "none"), ""
		}, "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, target := test.prepare(t)
			before := ""
			if target != "" {
				before = read(t, target)
			}
			_, err := statictoken.HashFile(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q and the file's name", err, test.want)
			}
			if target != "" && read(t, target) != before {
				t.Error("the file was changed")
			}
		})
	}
}

// A folder that cannot be written to must leave the file alone. Root may write everywhere, so that the folder is made
// unwritable in a way that holds for root too: by a name that leaves no room for the temporary one.
func TestHashFileInAFolderThatTakesNoNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 250))
	if err := os.WriteFile(path, []byte(clearFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := statictoken.HashFile(path); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("error %v, want that of the system", err)
	}
	if read(t, path) != clearFile {
		t.Error("the file was changed")
	}
	onlyFile(t, path)
}

func TestHashFileWhileTheFileChanges(t *testing.T) {
	const edited = tokenA + ",mallory,1\n"
	for _, test := range []struct {
		name   string
		meddle func(path string) error
		want   string // what the file holds in the end
	}{
		{"written in place", func(path string) error { return os.WriteFile(path, []byte(edited), 0o600) }, edited},
		{"one byte, the same length", func(path string) error {
			return os.WriteFile(path, []byte(strings.Replace(clearFile, "alice", "alicf", 1)), 0o600)
		}, strings.Replace(clearFile, "alice", "alicf", 1)},
		{"replaced", func(path string) error {
			if err := os.WriteFile(path+".new", []byte(edited), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, edited},
		{"replaced by the same text", func(path string) error {
			if err := os.WriteFile(path+".new", []byte(clearFile), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, clearFile},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, clearFile, 0o600)
			_, err := statictoken.HashFileMeddled(path, func() {
				if err := test.meddle(path); err != nil {
					t.Error(err)
				}
			})
			if !errors.Is(err, statictoken.ErrChanged) {
				t.Errorf("error %v, want ErrChanged", err)
			}
			if got := read(t, path); got != test.want {
				t.Errorf("the file holds %q, want the editor's %q", got, test.want)
			}
			onlyFile(t, path)
		})
	}
}

func TestTwoConversionsAtOnce(t *testing.T) {
	path := write(t, clearFile, 0o600)
	_, err := statictoken.HashFileMeddled(path, func() {
		if _, err := statictoken.HashFile(path); !errors.Is(err, statictoken.ErrBusy) {
			t.Errorf("the second conversion: error %v, want ErrBusy", err)
		}
	})
	if err != nil {
		t.Errorf("the first conversion: %v", err)
	}
	onlyFile(t, path)
}

// However many start at once, the file ends converted exactly once: its ids are those of the one report.
func TestManyConversionsAtOnce(t *testing.T) {
	path := write(t, clearFile, 0o600)
	const conversions = 8
	var mutex sync.Mutex
	var ids []string
	var group sync.WaitGroup
	for range conversions {
		group.Go(func() {
			report, err := statictoken.HashFile(path)
			if err != nil && !errors.Is(err, statictoken.ErrBusy) && !errors.Is(err, statictoken.ErrChanged) {
				t.Errorf("unexpected error %v", err)
			}
			mutex.Lock()
			defer mutex.Unlock()
			for _, entry := range report.Converted {
				ids = append(ids, strings.TrimPrefix(entry.ID.Value, "STATIC="))
			}
		})
	}
	group.Wait()
	if len(ids) != 2 {
		t.Fatalf("ids %v, want those of one conversion", ids)
	}
	for _, id := range ids {
		if !bytes.Contains([]byte(read(t, path)), []byte(id)) {
			t.Errorf("the file does not hold the id %s", id)
		}
	}
	onlyFile(t, path)
}
