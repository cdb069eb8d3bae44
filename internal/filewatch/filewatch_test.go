package filewatch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/filewatch"
)

// patience is far above the second within which changes are to be noticed; only a broken watcher needs it.
const patience = 2 * time.Minute

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestChangesAreNoticed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, dir string)
	}{
		{name: "written in place", change: func(t *testing.T, dir string) { t.Helper(); write(t, dir+"/file", "new content") }},
		{name: "same size, same time stamp", change: func(t *testing.T, dir string) {
			t.Helper()
			info, err := os.Stat(dir + "/file")
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/file", "two")
			if err := os.Chtimes(dir+"/file", info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "replaced by renaming", change: func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir+"/other", "two")
			if err := os.Rename(dir+"/other", dir+"/file"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "removed", change: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(dir + "/file"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "replaced by a pipe, which nobody writes to", change: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(dir + "/file"); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(dir+"/file", 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "replaced by a device without end", change: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(dir + "/file"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/dev/zero", dir+"/file"); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "emptied", change: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Truncate(dir+"/file", 0); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a file that was not there appears", change: func(t *testing.T, dir string) { t.Helper(); write(t, dir+"/later", "x") }},
		{name: "a folder's link is swapped, as kubelet does", change: func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Mkdir(dir+"/v2", 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/v2/key", "two")
			if err := os.Symlink("v2", dir+"/next"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir+"/next", dir+"/data"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir+"/file", "one")
			if err := os.Mkdir(dir+"/v1", 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/v1/key", "one")
			if err := os.Symlink("v1", dir+"/data"); err != nil {
				t.Fatal(err)
			}
			w := filewatch.New()
			if !w.Reset([]string{dir + "/file", dir + "/later", filepath.Join(dir, "data", "key")}) {
				t.Error("files that were never seen are no news")
			}
			tt.change(t, dir)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := w.Wait(ctx); err != nil {
				t.Errorf("not noticed: %v", err)
			}
		})
	}
}

func TestNothingChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/file", "one")
	w := filewatch.New()
	w.Reset([]string{dir + "/file", dir + "/missing"})
	write(t, dir+"/file", "one") // written again, but the same
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := w.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait returned %v, want it to wait", err)
	}
	if w.Reset([]string{dir + "/file"}) {
		t.Error("a file that is known is news")
	}
}
