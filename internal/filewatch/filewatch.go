// Package filewatch notices changes to files by looking at them several times a second.
//
// Looking is more reliable than notifications where it matters here: Kubernetes replaces mounted Secrets by swapping a
// symbolic link two folders up, editors replace files by renaming, network file systems notify nobody. A look costs one
// stat a file; contents are compared by what the files say about themselves, and by their bytes where that could
// deceive (a file changed twice within the resolution of its time stamp).
package filewatch

import (
	"context"
	"crypto/sha256"
	"os"
	"time"
)

const (
	// interval leaves room for two looks, a reload and a slow disk within the second that changes may take.
	interval = 200 * time.Millisecond
	// unsettled is how long after its time stamp a file's bytes are compared too: coarse file systems keep whole
	// seconds.
	unsettled = 2 * time.Second
)

// look is what one look at a file found.
type look struct {
	there  bool
	size   int64
	time   time.Time
	inode  os.FileInfo
	digest [sha256.Size]byte // of the content, while the file is unsettled or was when last read
}

// Watcher remembers what a set of files looked like. It is for one goroutine.
type Watcher struct {
	seen map[string]look
}

// New returns a watcher of no files.
func New() *Watcher { return &Watcher{seen: make(map[string]look)} }

// Reset changes the set of files to those at paths. Files that are new to the watcher count as unchanged from now on;
// it reports whether there were any: whoever read them before they were watched should read them once more.
func (w *Watcher) Reset(paths []string) (news bool) {
	seen := make(map[string]look, len(paths))
	for _, path := range paths {
		before, known := w.seen[path]
		if !known {
			before, news = inspect(path, look{}), true
		}
		seen[path] = before
	}
	w.seen = seen
	return news
}

// Wait returns when at least one of the files has changed and all of them have been the same for two looks in a row,
// so that a file in the middle of being written is left alone for a moment. It returns ctx's error when that ends
// first. Files that vanish or appear have changed.
func (w *Watcher) Wait(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	moving := false
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		changed := w.look()
		if moving && !changed {
			return nil
		}
		moving = moving || changed
	}
}

// look inspects all files and reports whether any differs from the look before.
func (w *Watcher) look() (changed bool) {
	for path, before := range w.seen {
		now := inspect(path, before)
		if !now.same(before) {
			changed = true
		}
		w.seen[path] = now
	}
	return changed
}

// inspect looks at one file. What cannot be read counts as not there: the reload that follows says why. So does what is
// no regular file: a pipe would hold the watcher for ever, a device would never end.
func inspect(path string, before look) look {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return look{}
	}
	now := look{there: true, size: info.Size(), time: info.ModTime(), inode: info, digest: before.digest}
	quiet := before.there && now.sameStat(before) && time.Since(now.time) > unsettled
	if quiet {
		return now
	}
	content, err := os.ReadFile(path) //nolint:gosec // the paths are the operator's own
	if err != nil {
		return look{}
	}
	now.digest = sha256.Sum256(content)
	return now
}

// sameStat compares what the file system says.
func (l look) sameStat(other look) bool {
	return l.size == other.size && l.time.Equal(other.time) && os.SameFile(l.inode, other.inode)
}

// same compares two looks. A file that was replaced by an equal one has not changed.
func (l look) same(other look) bool { return l.there == other.there && l.digest == other.digest }
