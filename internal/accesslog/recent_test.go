package accesslog_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/accesslog"
)

// TestRecent: refusals are found by their id until enough others came, and hold a bounded part of their cause; what was
// allowed is not among them.
func TestRecent(t *testing.T) {
	t.Parallel()
	recent := accesslog.NewRecent()
	long := errors.New(strings.Repeat("x", 1<<20))
	deny := func(id string) {
		recent.Record(&accesslog.Event{RequestID: id, Verdict: accesslog.Deny, Reason: "rejected", Cause: long})
	}
	deny("first")
	recent.Record(&accesslog.Event{RequestID: "allowed", Verdict: accesslog.Allow})
	if found, ok := recent.Find("first"); !ok || found.Reason != "rejected" || len(found.Cause) > 2000 {
		t.Errorf("found %v, reason %q, cause of %d bytes", ok, found.Reason, len(found.Cause))
	}
	for _, id := range []string{"allowed", "", "none"} {
		if _, ok := recent.Find(id); ok {
			t.Errorf("%q is found", id)
		}
	}
	for i := range 4096 {
		deny(fmt.Sprint(i))
	}
	if _, ok := recent.Find("first"); ok {
		t.Error("the first is remembered for ever")
	}
	if _, ok := recent.Find("0"); !ok {
		t.Error("one of the last is forgotten")
	}
}
