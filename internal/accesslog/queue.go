package accesslog

import (
	"io"
	"sync"
)

// maxQueuedBytes bounds what waits to be written: some ten thousand lines. When a disk is that far behind, requests wait
// for it: what the gate decides, it records.
const maxQueuedBytes = 4 << 20

// Queue hands writes on to another writer in a goroutine of its own, as many at a time as have come together while the
// last were written. Nothing is held back on purpose: a single line is written at once, and under load one system call
// serves many. It is safe for concurrent use. Close it to be sure that everything was written.
type Queue struct {
	next   io.Writer
	failed func(error)
	done   chan struct{}

	mu      sync.Mutex
	changed *sync.Cond // of pending, writing and closed
	pending []byte
	spare   []byte // the buffer that was written last, for the next round
	writing bool
	closed  bool
}

// NewQueue starts a queue before next. failed is told of each write that next could not take; what it was about is lost.
func NewQueue(next io.Writer, failed func(error)) *Queue {
	q := &Queue{next: next, failed: failed, done: make(chan struct{})}
	q.changed = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// Write takes p. It blocks only while the queue is full, and never fails before Close.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) > maxQueuedBytes && !q.closed {
		q.changed.Wait()
	}
	if q.closed {
		return 0, io.ErrClosedPipe
	}
	q.pending = append(q.pending, p...)
	if !q.writing {
		q.changed.Broadcast()
	}
	return len(p), nil
}

// Close writes what is pending and stops. Further writes fail.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.changed.Broadcast()
	q.mu.Unlock()
	<-q.done
	return nil
}

// run writes until the queue is closed and empty.
func (q *Queue) run() {
	defer close(q.done)
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.pending) == 0 && !q.closed {
			q.changed.Wait()
		}
		if len(q.pending) == 0 {
			return
		}
		batch := q.pending
		q.pending, q.writing = q.spare[:0], true
		q.mu.Unlock()
		_, err := q.next.Write(batch)
		if err != nil {
			q.failed(err)
		}
		q.mu.Lock()
		q.spare, q.writing = batch, false
		q.changed.Broadcast() // for those who wait for room
	}
}

var _ io.WriteCloser = (*Queue)(nil)
