package auditlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
)

const (
	// maxLine bounds an event: bodies of requests are at most 3 MB at the API server, and base64 and JSON make them longer.
	maxLine = 16 << 20
	// batchBytes is how much is decoded at a time: enough that handing it over costs nothing beside it.
	batchBytes = 512 << 10
)

// batch is some whole lines, and what became of them.
type batch struct {
	lines  [][]byte
	first  int // the number of the first line
	long   []int
	events chan []decoded
}

// decoded is one line: its events, or what was wrong with it.
type decoded struct {
	events []event
	line   int
	err    error
}

// Read reads a log to its end. It may be called for several logs, in the order of time or not. progress is called now and
// then, on another goroutine, with the number of bytes of the log that were read since; nil for none. An error says that the
// log could not be read on; what was read before it is in the record. Where ctx ends, the log may be read from until it is closed.
func (r *Record) Read(ctx context.Context, log io.Reader, progress func(bytes int)) error {
	// The lines are cut one after another, decoded beside each other, and counted in their order again.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	workers := runtime.GOMAXPROCS(0)
	work, ordered := make(chan batch), make(chan batch, 2*workers) //nolint:mnd // so that no worker waits
	for range workers {
		go func() {
			for b := range work {
				b.events <- b.decode()
			}
		}()
	}
	readErr := make(chan error, 1)
	go func() {
		defer close(ordered)
		defer close(work)
		readErr <- cut(counted{log, progress}, func(b batch) bool {
			b.events = make(chan []decoded, 1)
			select {
			case ordered <- b:
			case <-ctx.Done():
				return false
			}
			work <- b
			return true
		})
	}()
	for {
		select {
		case <-ctx.Done(): // a pipe may give nothing for ever; closing it ends what still reads
			return context.Cause(ctx)
		case b, more := <-ordered:
			if !more {
				return <-readErr
			}
			for _, one := range <-b.events {
				r.add(&one)
			}
		}
	}
}

// cut gives whole lines in batches, until there are no more or give says so.
func cut(log io.Reader, give func(batch) bool) error {
	source := bufio.NewReaderSize(log, batchBytes)
	if head, err := source.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b { //nolint:mnd // RFC 1952 section 2.3.1
		unpacked, err := gzip.NewReader(source)
		if err != nil {
			return fmt.Errorf("the log is gzipped and broken: %w", err)
		}
		source = bufio.NewReaderSize(unpacked, batchBytes)
	}
	number, size := 1, 0
	next := batch{first: number}
	for {
		line, tooLong, err := readLine(source)
		if tooLong {
			next.long = append(next.long, number)
		}
		next.lines = append(next.lines, line)
		number++
		size += len(line)
		if size >= batchBytes || err != nil {
			if !give(next) {
				return nil
			}
			next, size = batch{first: number}, 0
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// readLine reads up to the end of a line. What is longer than maxLine is passed over and reported.
func readLine(source *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := source.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			line, tooLong = nil, true
		} else if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

var errTooLong = fmt.Errorf("longer than %d bytes", maxLine)

// decode reads the events of the lines.
func (b *batch) decode() []decoded {
	all := make([]decoded, 0, len(b.lines))
	for i, line := range b.lines {
		one := decoded{line: b.first + i}
		if len(b.long) > 0 && b.long[0] == one.line {
			b.long, one.err = b.long[1:], errTooLong
			all = append(all, one)
			continue
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		one.events, one.err = decodeLine(line)
		all = append(all, one)
	}
	return all
}

var errNoEvent = errors.New("no audit event")

func decodeLine(line []byte) ([]event, error) {
	var one event
	if err := json.Unmarshal(line, &one); err != nil {
		return nil, err
	}
	switch one.Kind {
	case "Event":
		return []event{one}, nil
	case "EventList":
		var list eventList
		if err := json.Unmarshal(line, &list); err != nil {
			return nil, err
		}
		return list.Items, nil
	default:
		return nil, errNoEvent
	}
}

// counted reports what is read.
type counted struct {
	source io.Reader
	report func(int)
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	if c.report != nil {
		c.report(n)
	}
	return n, err
}
