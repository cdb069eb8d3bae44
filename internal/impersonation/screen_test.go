package impersonation_test

import (
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/ostiary/ostiary/internal/impersonation"
)

func TestScreen(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		ok     bool
	}{
		{name: "attack 9 future header", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Something": {"x"}}},
		{name: "attack 9 future header alone", header: http.Header{"Impersonate-Something": {"x"}}},
		{name: "attack 9 without the hyphen", header: http.Header{"Impersonateuser": {"a"}}},
		{name: "attack 9 the prefix alone", header: http.Header{"Impersonate": {"a"}}},
		{name: "attack 9 underscore", header: http.Header{"Impersonate_user": {"a"}}},
		{name: "attack 9 underscore in the middle", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra_foo": {"a"}}},
		{name: "attack 8 lower case key", header: http.Header{"impersonate-user": {"a"}}},
		{name: "attack 8 upper case key", header: http.Header{"IMPERSONATE-USER": {"a"}}},
		{name: "attack 8 trailing blank in name", header: http.Header{"Impersonate-User ": {"a"}}},
		{name: "attack 8 lower case beside canonical", header: http.Header{"Impersonate-User": {"a"}, "impersonate-group": {"system:masters"}}},
		{name: "attack 8 extra not canonical", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-scopes": {"a"}}},
		{name: "attack 8 extra with illegal name", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-a b": {"a"}}},
		{name: "attack 10 two users", header: http.Header{"Impersonate-User": {"a", "b"}}},
		{name: "attack 10 the same user twice", header: http.Header{"Impersonate-User": {"a", "a"}}},
		{name: "attack 10 empty user", header: http.Header{"Impersonate-User": {""}}},
		{name: "attack 10 empty user first", header: http.Header{"Impersonate-User": {"", "b"}}},
		{name: "user without a value", header: http.Header{"Impersonate-User": {}}},
		{name: "IMP-2 group without user", header: http.Header{"Impersonate-Group": {"system:masters"}}},
		{name: "IMP-2 uid without user", header: http.Header{"Impersonate-Uid": {"1"}}},
		{name: "IMP-2 extra without user", header: http.Header{"Impersonate-Extra-Scopes": {"a"}}},
		{name: "IMP-2 group with empty user", header: http.Header{"Impersonate-User": {""}, "Impersonate-Group": {"g"}}},
		{name: "two uids", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Uid": {"1", "2"}}},
		{name: "empty uid", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Uid": {""}}},
		{name: "extra without key", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-": {"v"}}},
		{name: "attack 11 bad percent encoding", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-Bad%zz": {"v"}}},
		{name: "attack 11 cut percent encoding", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-Bad%2": {"v"}}},
		{name: "attack 11 encoded NUL", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-A%00": {"v"}}},
		{name: "attack 11 encoded upper case", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-%41bc": {"v"}}},
		{name: "attack 11 doubly encoded slash", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-A%252fb": {"v"}}},
		{name: "attack 11 encoded blank", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-A%20": {"v"}}},
		{name: "attack 11 encoded line feed", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-A%0a": {"v"}}},
		{name: "attack 11 encoded non-ASCII", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-%c3%bc": {"v"}}},
		{name: "RH-9 one key in two spellings", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-A": {"v"}, "Impersonate-Extra-%61": {"w"}}},
		{name: "attack 12 reserved key", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-Ostiary.dev%2foriginal-User": {"v"}}},
		{name: "attack 12 reserved key, more encoded", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-%6fstiary.dev%2foriginal-User": {"v"}}},
		{name: "attack 12 reserved subdomain", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-X.ostiary.dev%2fa": {"v"}}},
		{name: "attack 14 control character in user", header: http.Header{"Impersonate-User": {"a\tb"}}},
		{name: "attack 14 line feed in group", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Group": {"g", "a\nb"}}},
		{name: "attack 14 control character in extra", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Extra-K": {"\x7f"}}},
		{name: "attack 14 blank before user", header: http.Header{"Impersonate-User": {" a"}}},
		{name: "attack 14 not UTF-8", header: http.Header{"Impersonate-User": {"a\xff"}}},
		{name: "attack 4 in one spelling is for the judge", header: http.Header{"Impersonate-User": {"a"}, "Impersonate-Group": {"system:masters"}}, ok: true},
		{name: "none", header: http.Header{"Accept": {"a"}, "If-Match": {"b"}, "Imp": {"c"}, "X-Impersonate-User": {"d"}}, ok: true},
		{name: "no headers", header: nil, ok: true},
		{name: "kubectl --as", header: http.Header{"Impersonate-User": {"jörg"}}, ok: true},
		{name: "everything", header: http.Header{
			"Impersonate-User": {"a"}, "Impersonate-Uid": {"1"}, "Impersonate-Group": {"b,c", "", "b,c"},
			"Impersonate-Extra-Scopes": {"x", ""}, "Impersonate-Extra-Acme.com%2fproject": {"p"}, "Impersonate-Extra-Notostiary.dev%2fa": {"q"},
		}, ok: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := impersonation.Screen(test.header)
			if test.ok != (err == nil) {
				t.Fatalf("Screen = %v", err)
			}
			if err != nil && !apierrors.IsBadRequest(err) {
				t.Errorf("Screen = %v, want 400", err)
			}
		})
	}
}

func TestScreenErrorsAreShort(t *testing.T) {
	err := impersonation.Screen(http.Header{"Impersonate-" + strings.Repeat("x", 1<<16): {"a"}})
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("the error repeats too much: %d bytes", len(err.Error()))
	}
}

func TestStrip(t *testing.T) {
	h := http.Header{"Impersonate-User": {"a"}, "impersonate_group": {"b"}, "Impersonatex": {"c"}, "IMPERSONATE-EXTRA-A": {"d"}, "Accept": {"e"}}
	impersonation.Strip(h)
	if len(h) != 1 || h.Get("Accept") != "e" {
		t.Errorf("left: %v", h)
	}
}

// usual is the headers of a usual kubectl request.
func usual() http.Header {
	return http.Header{
		"User-Agent": {"kubectl"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"},
		"If-None-Match": {"x"}, "Kubectl-Command": {"kubectl get"}, "Kubectl-Session": {"s"}, "Audit-Id": {"a"},
	}
}

func BenchmarkScreen(b *testing.B) {
	h := usual()
	b.ReportAllocs()
	for b.Loop() {
		if err := impersonation.Screen(h); err != nil {
			b.Fatal(err)
		}
	}
}

func TestScreenDoesNotAllocate(t *testing.T) {
	h := usual()
	if n := testing.AllocsPerRun(100, func() { _ = impersonation.Screen(h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
