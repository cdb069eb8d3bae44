// Package jsonlines reads files that another program appends JSON objects to, one a line: the access log of Ostiary,
// the audit log of kube-apiserver.
package jsonlines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/process"
)

// pollInterval is how often Wait looks again: programs write a line within milliseconds.
const pollInterval = 20 * time.Millisecond

// Read decodes every complete line of a file that starts an object; others, such as the words of a crash, are left out,
// and so is a last line that is still being written.
func Read[T any](file string) ([]T, error) {
	content, err := os.ReadFile(file) //nolint:gosec // a log of the harness
	if err != nil {
		return nil, fmt.Errorf("read JSON lines: %w", err)
	}
	var all []T
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if !bytes.HasPrefix(line, []byte("{")) {
			continue
		}
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, fmt.Errorf("read JSON lines of %s: %w; the line: %s", file, err, line)
		}
		all = append(all, one)
	}
	return all, nil
}

// Wait waits until a line of the file matches, and returns the first that does. A file that is not there yet is one
// without lines. When ctx ends first, the error holds the end of the file.
func Wait[T any](ctx context.Context, file string, match func(T) bool) (T, error) {
	var none T
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		lines, err := Read[T](file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return none, err
		}
		for _, line := range lines {
			if match(line) {
				return line, nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			tail, _ := process.Tail(file)
			return none, fmt.Errorf("no line of %s matched in time: %w; its end:\n%s", file, context.Cause(ctx), tail)
		}
	}
}
