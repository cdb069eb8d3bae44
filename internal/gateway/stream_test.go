package gateway

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
)

// pipe is the API server's side of a tunnel: what it sends, and what it was sent.
type pipe struct {
	io.Reader
	bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error) { return p.Reader.Read(b) }
func (p *pipe) Close() error               { return nil }

// TestNothingGoesThroughWhatWasCut: from the moment that a stream is cut, and before whoever waits for its bytes knows, nothing is
// handed on in either way; the farewell is. The twin is a stream that stays open.
func TestNothingGoesThroughWhatWasCut(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{true, false} {
		far := &pipe{Reader: bytes.NewReader([]byte("late"))}
		one := new(stream)
		through := &tunnel{body: body{ReadCloser: far, stream: one, farewell: logFarewell{}}, backend: far}
		if _, err := io.WriteString(through, "early "); err != nil {
			t.Fatal(err)
		}
		if cut && (!one.end("it is over", authn.ErrNoLonger) || one.end("twice", nil)) {
			t.Error("a stream is cut once")
		}
		if n, err := io.WriteString(through, "late"); n != len("late") || err != nil {
			t.Errorf("cut %v: the client's side is told %d, %v", cut, n, err)
		}
		got, err := io.ReadAll(through)
		if err != nil {
			t.Fatal(err)
		}
		wantSent, want := "early late", "late"
		if cut {
			wantSent, want = "early ", "\nended by the gate: it is over\n"
		}
		if string(got) != want || far.String() != wantSent {
			t.Errorf("cut %v: the client got %q, want %q; the cluster got %q, want %q", cut, got, want, far.String(), wantSent)
		}
		if end := one.wasCut(); cut && !errors.Is(end.cause, authn.ErrNoLonger) || !cut && end != nil {
			t.Errorf("cut %v: it ended by %v", cut, end)
		}
	}
}
