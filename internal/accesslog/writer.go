package accesslog

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// lineBytes is the size that lines seldom exceed.
const lineBytes = 1024

// Writer is a Sink that writes one JSON object a line, each in one write.
type Writer struct {
	next  io.Writer
	lines sync.Pool
}

// NewWriter returns a sink that writes to w, which must take concurrent writes, as files do.
func NewWriter(w io.Writer) *Writer {
	return &Writer{next: w, lines: sync.Pool{New: func() any { l := make(line, 0, lineBytes); return &l }}}
}

// Record implements Sink. A line that cannot be written is lost; the request it was about is not held up for it.
func (w *Writer) Record(e *Event) {
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	l, ok := w.lines.Get().(*line)
	if !ok {
		l = new(line)
	}
	*l = (*l)[:0].appendEvent(e, at)
	_, _ = w.next.Write(*l)
	w.lines.Put(l)
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
	// Without O_NONBLOCK a named pipe that nobody reads would hold up the start, or every request after a rotation.
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, fileMode)
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
