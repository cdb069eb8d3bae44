// Package jsonlines reads files that another program appends JSON objects to, one a line: the access log of Ostiary,
// the audit log of kube-apiserver.
package jsonlines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/process"
)

// pollInterval is how often Wait looks again: programs write a line within milliseconds.
const pollInterval = 20 * time.Millisecond

// Log is a file of which every line is decoded once, however often it is asked about: such files grow to thousands of
// lines, and tests look for one of them hundreds of times. Its methods are safe for concurrent use. A file that was
// truncated or replaced is read anew.
type Log[T any] struct {
	file string

	mu     sync.Mutex
	read   os.FileInfo // what was read, nil at first
	offset int64       // up to where
	lines  []T
}

// Open is the log in a file, which need not be there yet.
func Open[T any](file string) *Log[T] { return &Log[T]{file: file} }

// Read returns every complete line so far that starts an object; others, such as the words of a crash, are left out, and
// so is a last line that is still being written. The lines are shared by all who read: they must not be changed.
func (l *Log[T]) Read() ([]T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.readOn(); err != nil {
		return nil, fmt.Errorf("read JSON lines: %w", err)
	}
	return slices.Clip(l.lines), nil
}

// readOn decodes what was appended.
func (l *Log[T]) readOn() error {
	f, err := os.Open(l.file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if l.read == nil || !os.SameFile(l.read, info) || info.Size() < l.offset {
		l.offset, l.lines = 0, nil
	}
	l.read = info
	content, err := io.ReadAll(io.NewSectionReader(f, l.offset, info.Size()-l.offset))
	if err != nil {
		return err
	}
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if bytes.HasPrefix(line, []byte("{")) {
			var one T
			if err := json.Unmarshal(line, &one); err != nil {
				return fmt.Errorf("%s: %w; the line: %s", l.file, err, line)
			}
			l.lines = append(l.lines, one)
		}
		l.offset += int64(len(line))
	}
	return nil
}

// Wait waits until a line matches, and returns the first that does. A file that is not there yet is one without lines.
// Each line is asked about once. When ctx ends first, the error holds the end of the file.
func (l *Log[T]) Wait(ctx context.Context, match func(T) bool) (T, error) {
	var none T
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for seen := 0; ; {
		lines, err := l.Read()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return none, err
		}
		if len(lines) < seen {
			seen = 0 // it was truncated or replaced
		}
		for _, line := range lines[seen:] {
			if match(line) {
				return line, nil
			}
		}
		seen = len(lines)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			tail, _ := process.Tail(l.file)
			return none, fmt.Errorf("no line of %s matched in time: %w; its end:\n%s", l.file, context.Cause(ctx), tail)
		}
	}
}
