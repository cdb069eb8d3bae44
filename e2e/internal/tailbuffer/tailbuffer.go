// Package tailbuffer holds the output of a running program for readers that follow it.
package tailbuffer

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Buffer collects bytes and tells readers of each change. Make one with New. It is safe for concurrent use.
type Buffer struct {
	mu      sync.Mutex
	content []byte
	change  chan struct{} // closed and replaced at each change; nil after Close
}

// New makes an empty buffer.
func New() *Buffer { return &Buffer{change: make(chan struct{})} }

// Write appends and wakes the readers. It fails after Close only.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.change == nil {
		return 0, errors.New("write to a closed buffer")
	}
	close(b.change)
	b.change = make(chan struct{})
	b.content = append(b.content, p...)
	return len(p), nil
}

// Close says that there is no more to come. It may be called again.
func (b *Buffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.change != nil {
		close(b.change)
		b.change = nil
	}
	return nil
}

// From returns what was written after the first offset bytes, and a channel that is closed when there is more: nil
// when there never is. The bytes must not be changed.
func (b *Buffer) From(offset int) ([]byte, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content[offset:len(b.content):len(b.content)], b.change
}

// Len is how much was written so far.
func (b *Buffer) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.content)
}

// String is what was written so far.
func (b *Buffer) String() string {
	all, _ := b.From(0)
	return string(all)
}

// Follow copies what comes after the first offset bytes to w until the buffer is closed, w fails or ctx ends; only the
// latter two are errors.
func (b *Buffer) Follow(ctx context.Context, w io.Writer, offset int) error {
	for {
		chunk, more := b.From(offset)
		if len(chunk) > 0 {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
			offset += len(chunk)
			continue
		}
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
