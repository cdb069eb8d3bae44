package etcdstore

import "testing"

// FuzzStride: a page always ends after it begins, whatever the keys are.
func FuzzStride(f *testing.F) {
	f.Add("", "\x00", true)
	f.Add("entry/aaaaaaaaaaaaaaaaaaaaaaaa", "entry/aaaaaaaaaaaaaaaaaaaaaaab", false)
	f.Add("entry/", "entry/\xff\xff\xff\xff\xff\xff\xff\xff", false)
	f.Add("entry/\xff", "entry/\xff\xff\xff\xff\xff\xff\xff\xff\xff", true)
	f.Fuzz(func(t *testing.T, from, next string, more bool) {
		if from == next {
			return
		}
		from, next = "/ostiary/"+min(from, next), "/ostiary/"+max(from, next)
		if to := stride(from, next, more); to <= next {
			t.Errorf("from %q, a page after %q ends at %q", from, next, to)
		}
	})
}

// TestStride: a page ends a little further on than the one before was long, or with what shares its keys' beginning.
func TestStride(t *testing.T) {
	t.Parallel()
	const zeros = "00000000"
	for _, tt := range []struct {
		from, next string
		more       bool
		want       string
	}{
		{from: "/o/act/00", next: "/o/act/04", more: true, want: "/o/act/0d0" + zeros},
		{from: "/o/act/00", next: "/o/act/04", want: "/o/act/0g0" + zeros},
		{from: "/o/entry/ay", next: "/o/entry/bx", more: true, want: "/o/entry/e3r0000000"},
		{from: "/o/entry/x", next: "/o/entry/z", want: "/o/entry0"},
	} {
		if got := stride(tt.from, tt.next, tt.more); got != tt.want {
			t.Errorf("from %q to %q: %q, want %q", tt.from, tt.next, got, tt.want)
		}
	}
}
