package gateway

import (
	"bytes"
	"encoding/json"
	"testing"
)

// webSocketFrames are one unmasked frame of each length form, and a masked one.
func webSocketFrames() [][]byte {
	return [][]byte{
		append([]byte{0x82, 3}, "abc"...),
		append([]byte{0x82, 126, 1, 0}, bytes.Repeat([]byte("x"), 256)...),
		append([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, bytes.Repeat([]byte("y"), 65536)...),
		append([]byte{0x82, 0x82, 1, 2, 3, 4}, "ab"...),
		{0x89, 0},
	}
}

// spdyFrames are a control frame and a data frame.
func spdyFrames() [][]byte {
	return [][]byte{
		append([]byte{0x80, 3, 0, 6, 0, 0, 0, 4}, "ping"...),
		append([]byte{0, 0, 0, 1, 0, 0, 1, 0}, bytes.Repeat([]byte("z"), 256)...),
	}
}

// TestFarewellsStandBetweenFrames cuts each stream at every byte: a farewell may come only where a frame ends.
func TestFarewellsStandBetweenFrames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		frames [][]byte
		make   func() farewell
	}{
		{name: "websocket", frames: webSocketFrames(), make: func() farewell { return &webSocketFarewell{} }},
		{name: "spdy", frames: spdyFrames(), make: func() farewell { return &spdyFarewell{} }},
		{name: "watch", frames: [][]byte{[]byte("{\"a\":1}\n"), []byte("{}\n")}, make: func() farewell { return &watchFarewell{boundary: true} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stream := bytes.Join(tt.frames, nil)
			ends := map[int]bool{0: true}
			at := 0
			for _, frame := range tt.frames {
				at += len(frame)
				ends[at] = true
			}
			for cut := range len(stream) + 1 {
				if cut > 600 && cut < len(stream)-600 {
					continue // the inside of the long frame
				}
				for _, piece := range []int{1, 7, 4096} {
					f := tt.make()
					for rest := stream[:cut]; len(rest) > 0; {
						n := min(piece, len(rest))
						f.observe(rest[:n])
						rest = rest[n:]
					}
					if got := f.last("bye", false) != nil; got != ends[cut] {
						t.Fatalf("cut after %d bytes in pieces of %d: farewell %v, want %v", cut, piece, got, ends[cut])
					}
				}
			}
		})
	}
}

func TestWatchFarewellIsAnEvent(t *testing.T) {
	t.Parallel()
	var event struct {
		Type   string
		Object struct {
			Kind, Message string
			Code          int
			Details       struct{ RetryAfterSeconds int }
		}
	}
	if err := json.Unmarshal((&watchFarewell{boundary: true}).last("going", false), &event); err != nil {
		t.Fatal(err)
	}
	if event.Type != "ERROR" || event.Object.Kind != "Status" || event.Object.Code != 429 || event.Object.Message != "going" || event.Object.Details.RetryAfterSeconds < 1 {
		t.Errorf("%+v", event)
	}
}

// FuzzFrames: whatever bytes come, in whatever pieces, nothing panics, and the pieces make no difference.
func FuzzFrames(f *testing.F) {
	f.Add(bytes.Join(webSocketFrames()[:2], nil), uint8(3))
	f.Add(bytes.Join(spdyFrames(), nil), uint8(1))
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		for _, fresh := range []func() farewell{func() farewell { return &webSocketFarewell{} }, func() farewell { return &spdyFarewell{} }} {
			whole, pieces := fresh(), fresh()
			whole.observe(stream)
			for rest := stream; len(rest) > 0; {
				n := min(int(piece)+1, len(rest))
				pieces.observe(rest[:n])
				rest = rest[n:]
			}
			if (whole.last("x", false) == nil) != (pieces.last("x", false) == nil) {
				t.Fatal("the pieces in which bytes come make a difference")
			}
		}
	})
}
