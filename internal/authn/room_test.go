package authn_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ostiary/ostiary/internal/authn"
)

// TestRoom: strangers have so much room in all, and a source a quarter of it; who is known needs none, and who leaves makes
// room.
func TestRoom(t *testing.T) {
	t.Parallel()
	from := func(source string, stranger bool) *authn.Request {
		return &authn.Request{Source: netip.MustParseAddr(source), Stranger: stranger}
	}
	for _, tt := range []struct {
		name   string
		source func(i int) string
		known  bool
		want   int
	}{
		{name: "one address", source: func(int) string { return "192.0.2.1" }, want: 4},
		{name: "one address in two forms", source: func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }, want: 4},
		{name: "every address of a /64", source: func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, want: 4},
		{name: "many", source: func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }, want: 16},
		{name: "known", source: func(int) string { return "192.0.2.1" }, known: true, want: 100},
	} {
		room := authn.NewRoom("work", 16)
		var leave []func()
		var refused error
		for i := range 100 {
			one, err := room.Enter(from(tt.source(i), !tt.known))
			if err != nil {
				refused = err
				continue
			}
			leave = append(leave, one)
		}
		if len(leave) != tt.want {
			t.Errorf("%s: %d came in, want %d", tt.name, len(leave), tt.want)
		}
		if locked, ok := errors.AsType[*authn.LockedError](refused); !tt.known && (!ok || !locked.Until.IsZero()) {
			t.Errorf("%s: refused by %v", tt.name, refused)
		}
		if _, err := room.Enter(from("192.0.2.1", false)); err != nil {
			t.Errorf("%s: who is known is refused: %v", tt.name, err)
		}
		for _, one := range leave {
			one()
		}
		if _, err := room.Enter(from(tt.source(0), true)); err != nil {
			t.Errorf("%s: no room though all left: %v", tt.name, err)
		}
	}
	// Nobody knows where what an API server asks about comes from: it has the room of all.
	room, asked := authn.NewRoom("work", 16), 0
	for range 100 {
		if _, err := room.Enter(&authn.Request{Cluster: "prod", Stranger: true}); err == nil {
			asked++
		}
	}
	if asked != 16 {
		t.Errorf("%d reviews came in, want 16", asked)
	}
	if _, err := (*authn.Room)(nil).Enter(from("192.0.2.1", true)); err != nil {
		t.Errorf("no room bounds: %v", err)
	}
}
