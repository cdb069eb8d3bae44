package frontproxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"

	"github.com/ostiary/ostiary/internal/frontproxy"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/identityheader"
)

// set is what the gate does as the last step before the wire.
var set = identityheader.Asserter(frontproxy.Encode, frontproxy.Strip)

func TestIsIdentityHeader(t *testing.T) {
	tests := []struct {
		name   string
		header string
		want   bool
	}{
		{name: "attack 5 user", header: "X-Remote-User", want: true},
		{name: "attack 5 group", header: "X-Remote-Group", want: true},
		{name: "attack 5 extra", header: "X-Remote-Extra-Scopes", want: true},
		{name: "attack 6 uid", header: "X-Remote-Uid", want: true},
		{name: "attack 8 lower case", header: "x-remote-user", want: true},
		{name: "attack 8 upper case", header: "X-REMOTE-UID", want: true},
		{name: "attack 8 underscores", header: "X_Remote_User", want: true},
		{name: "attack 8 one underscore", header: "X-Remote_Group", want: true},
		{name: "attack 8 extra with underscores", header: "x_remote_extra_a", want: true},
		{name: "extra without a key", header: "X-Remote-Extra-", want: true},
		{name: "extra without its hyphen", header: "X-Remote-Extra", want: true},
		{name: "extra with another separator", header: "X-Remote-Extra.a", want: true},
		{name: "HDR-2 other X headers stay", header: "X-Remote-Addr", want: false},
		{name: "longer than a name", header: "X-Remote-Users", want: false},
		{name: "the prefix alone", header: "X-Remote-", want: false},
		{name: "shorter", header: "X-Remote", want: false},
		{name: "empty", header: "", want: false},
		{name: "something else", header: "Content-Type", want: false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := frontproxy.IsIdentityHeader(test.header); got != test.want {
				t.Errorf("IsIdentityHeader(%q) = %t", test.header, got)
			}
			h := http.Header{test.header: {"v"}, "Accept": {"a"}}
			frontproxy.Strip(h)
			if _, kept := h[test.header]; kept == test.want || h.Get("Accept") != "a" {
				t.Errorf("Strip left %v", h)
			}
		})
	}
}

func TestStripper(t *testing.T) {
	s, err := frontproxy.NewStripper([]string{"X-Acme-User"}, []string{"X-Acme-Attr-"})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{
		"X-Remote-User": {"standard"}, "x_acme_user": {"custom"}, "X-ACME-ATTR-a": {"prefix"}, "X-Acme-User2": {"other"},
	}
	s.Strip(h)
	if diff := cmp.Diff(http.Header{"X-Acme-User2": {"other"}}, h); diff != "" {
		t.Errorf("attack 7, custom names: %s", diff)
	}
	h = http.Header{"X-Remote-User": {"standard"}, "Accept": {"a"}}
	new(frontproxy.Stripper).Strip(h)
	if diff := cmp.Diff(http.Header{"Accept": {"a"}}, h); diff != "" {
		t.Errorf("zero value: %s", diff)
	}
}

func TestNewStripperRefuses(t *testing.T) {
	for _, bad := range []string{"", " ", "X Acme", "X-Ac\nme", "X-Acmé"} {
		if _, err := frontproxy.NewStripper([]string{bad}, nil); err == nil {
			t.Errorf("RH-13: name %q was accepted", bad)
		}
		if _, err := frontproxy.NewStripper(nil, []string{"X-Ok-", bad}); err == nil {
			t.Errorf("RH-13: prefix %q was accepted", bad)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	tests := []struct {
		name string
		id   *identity.Identity
	}{
		{name: "GW-7 nobody", id: nil},
		{name: "GW-4 empty username", id: &identity.Identity{Groups: []string{"system:authenticated"}}},
		{name: "GW-4 empty group vanishes", id: &identity.Identity{Username: "a", Groups: []string{"", "system:authenticated"}}},
		{name: "GW-3 system:authenticated would be added", id: &identity.Identity{Username: "a", Groups: []string{"g"}}},
		{name: "attack 14 line feed", id: &identity.Identity{Username: "a\nb", Groups: []string{"system:authenticated"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := http.Header{"X-Remote-User": {"forged"}, "x-remote-extra-a": {"forged"}, "Accept": {"a"}}
			if err := set(h, test.id); !errors.Is(err, identityheader.ErrInexpressible) {
				t.Errorf("error = %v", err)
			}
			if diff := cmp.Diff(http.Header{"Accept": {"a"}}, h); diff != "" {
				t.Errorf("what a refusal leaves: %s", diff)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name string
		id   *identity.Identity
	}{
		{name: "person", id: &identity.Identity{Username: "jane", UID: "42", Groups: []string{"dev", "a,c", "dev", "system:authenticated"}}},
		{name: "GW-3 anonymous", id: &identity.Identity{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}},
		{name: "RH vector: anonymous by name", id: &identity.Identity{Username: "system:anonymous", Groups: []string{"zz"}}},
		{name: "RH-9 upper-case keys", id: &identity.Identity{Username: "jane", Groups: []string{"system:authenticated"}, Extra: map[string][]string{
			"Abc": {"1"}, "abc": {"2", ""}, "authentication.kubernetes.io/credential-id": {"JTI=x"}, "%zz": {"3"}, "": {"4"}, "ü/Ü": {"5"},
		}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkRoundTrip(t, test.id) })
	}
}

// FuzzRoundTrip: whatever Set accepts, Kubernetes reads back as the same identity, over the wire.
func FuzzRoundTrip(f *testing.F) {
	f.Add("jane", "42", "dev", "k", "v")
	f.Add("jörg", "", "", "Acme.com/Ü", "")
	f.Add(" a", "\n", "\x00", "%", "\xff")
	f.Fuzz(func(t *testing.T, user, uid, group, key, value string) {
		id := &identity.Identity{
			Username: user, UID: uid, Groups: []string{group, "system:authenticated", group},
			Extra: map[string][]string{key: {value, "second"}, key + "X": {value}},
		}
		if _, err := frontproxy.Encode(id); err == nil {
			checkRoundTrip(t, id)
		}
	})
}

// checkRoundTrip sends id over HTTP/1.1 beside forged headers and lets Kubernetes read it.
func checkRoundTrip(t *testing.T, id *identity.Identity) {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header = http.Header{
		"X-Remote-User": {"forged"}, "x-remote-group": {"system:masters"}, "X-Remote-Uid": {"forged"}, "X-Remote-Extra-Forged": {"f"},
	}
	if err := set(out.Header, id); err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if err := out.Write(&wire); err != nil {
		t.Fatal(err)
	}
	in, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	kubernetes, err := headerrequest.New([]string{"X-Remote-User"}, []string{"X-Remote-Uid"}, []string{"X-Remote-Group"}, []string{"X-Remote-Extra-"})
	if err != nil {
		t.Fatal(err)
	}
	response, ok, err := kubernetes.AuthenticateRequest(in)
	if err != nil || !ok {
		t.Fatalf("Kubernetes sees nobody: %t, %v", ok, err)
	}
	got := &identity.Identity{
		Username: response.User.GetName(), UID: response.User.GetUID(), Groups: response.User.GetGroups(), Extra: response.User.GetExtra(),
	}
	want := id.Clone()
	if want.Extra == nil {
		want.Extra = map[string][]string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// request is the headers of a usual kubectl request.
func request() http.Header {
	return http.Header{
		"User-Agent": {"kubectl"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"},
		"Kubectl-Command": {"kubectl get"}, "Kubectl-Session": {"s"}, "X-Forwarded-For": {"192.0.2.1"}, "Audit-Id": {"a"},
	}
}

func person() *identity.Identity {
	return &identity.Identity{
		Username: "jane@example.com", UID: "42", Groups: slices.Repeat([]string{"oidc:team", "system:authenticated"}, 5),
		Extra: map[string][]string{"authentication.kubernetes.io/credential-id": {"JTI=4711"}},
	}
}

func BenchmarkStrip(b *testing.B) {
	h := request()
	b.ReportAllocs()
	for b.Loop() {
		frontproxy.Strip(h)
	}
}

func BenchmarkSet(b *testing.B) {
	h, id := request(), person()
	b.ReportAllocs()
	for b.Loop() {
		if err := set(h, id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetEncoded(b *testing.B) {
	h := request()
	encoded, err := frontproxy.Encode(person())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		frontproxy.Strip(h)
		encoded.Set(h)
	}
}
