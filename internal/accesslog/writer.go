package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Writer is a Sink that writes one JSON object a line, each in one write.
type Writer struct{ handler slog.Handler }

// NewWriter returns a sink that writes to w, which must take concurrent writes, as files do.
func NewWriter(w io.Writer) *Writer { return &Writer{handler: slog.NewJSONHandler(w, nil)} }

// Record implements Sink. A line that cannot be written is lost; the request it was about is not held up for it.
func (w *Writer) Record(e *Event) {
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	record := slog.NewRecord(at, slog.LevelInfo, string(e.Kind), 0)
	var buffer [attributes]slog.Attr
	record.AddAttrs(e.attrs(buffer[:0])...)
	_ = w.handler.Handle(context.Background(), record) //nolint:forbidigo // slog asks for a context that its JSON handler never reads
}

// fileMode lets operators' group read the log: it names people, but holds no secret.
const fileMode = 0o640

// reopenAfter is how often a File looks whether it was moved away, as log rotation does.
const reopenAfter = time.Second

// File is a log file that survives rotation: when the file at its path is no longer the one it writes to, it opens the
// path anew. It is safe for concurrent use.
type File struct {
	path string

	mu      sync.Mutex
	file    *os.File
	checked time.Time
}

// OpenFile opens the file at path for appending, creating it with mode 0640.
func OpenFile(path string) (*File, error) {
	f := &File{path: path}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// Write appends p in one write.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= reopenAfter {
		f.checked = now
		if f.moved() {
			if err := f.open(); err != nil && f.file == nil {
				return 0, err
			}
		}
	}
	return f.file.Write(p)
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

// moved reports whether the path names another file now, or none.
func (f *File) moved() bool {
	there, err := os.Stat(f.path)
	if err != nil {
		return os.IsNotExist(err)
	}
	here, err := f.file.Stat()
	return err != nil || !os.SameFile(here, there)
}

// open opens the path and lets go of the file before. On error the one before stays in use.
func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("opening the access log: %w", err)
	}
	if f.file != nil {
		_ = f.file.Close()
	}
	f.file, f.checked = file, time.Now()
	return nil
}

var (
	_ Sink           = (*Writer)(nil)
	_ io.WriteCloser = (*File)(nil)
)
