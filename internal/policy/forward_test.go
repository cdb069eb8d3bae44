package policy_test

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/policy"
)

func TestForwardableGW4(t *testing.T) {
	// Each is put into every place of an identity.
	for _, test := range []struct {
		name, value string
		forwardable bool
	}{
		{"attack 14: a leading blank makes a reserved name", " system:masters", false},
		{"attack 14: a trailing blank", "alice ", false},
		{"attack 14: a leading TAB", "\talice", false},
		{"attack 14: a TAB inside", "al\tice", false},
		{"attack 14: NUL", "alice\x00", false},
		{"attack 14: CR LF and a header", "alice\r\nX-Remote-Group: system:masters", false},
		{"attack 14: LF", "alice\nbob", false},
		{"attack 14: CR", "alice\rbob", false},
		{"attack 14: DEL", "alice\x7f", false},
		{"attack 14: ESC", "\x1b[2Jalice", false},
		{"attack 14: a control character beyond ASCII", "alice\u009b2J", false},
		{"attack 14: not UTF-8", "alice\xff", false},
		{"attack 14: half a character", "alic\xc3", false},
		{"nothing but a blank", " ", false},
		{"a blank inside", "Alice Doe", true},
		{"not ASCII", "älice-☃", true},
		{"a separator of other gateways", "a|system:masters,b", true},
		{"a no-break space, which stays", "\u00a0alice", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for place, cred := range places(test.value) {
				got, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(&authn.Request{Now: now}, cred)
				if !test.forwardable {
					refused(t, got, err, policy.ErrUnforwardable, policy.ReasonUnforwardable)
				} else if err != nil {
					t.Errorf("%s: %v", place, err)
				}
			}
		})
	}
	t.Run("OIDC-12 FILE-5 WH-7 empty user name", func(t *testing.T) {
		got, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(&authn.Request{Now: now}, jwt("", "a"))
		refused(t, got, err, policy.ErrUnforwardable, policy.ReasonUnforwardable)
	})
	for name, key := range map[string]string{"attack 11: NUL in an extra key": "a\x00", "not UTF-8 in an extra key": "a\xff"} {
		t.Run(name, func(t *testing.T) {
			cred := jwt("alice")
			cred.Identity.Extra = map[string][]string{key: {"x"}}
			got, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(&authn.Request{Now: now}, cred)
			refused(t, got, err, policy.ErrUnforwardable, policy.ReasonUnforwardable)
		})
	}
}

// places puts value into every place of an identity.
func places(value string) map[string]*authn.Credential {
	in := func(id identity.Identity) *authn.Credential {
		return &authn.Credential{Mechanism: identity.JWT, Identity: id}
	}
	return map[string]*authn.Credential{
		"user":  in(identity.Identity{Username: value}),
		"uid":   in(identity.Identity{Username: "alice", UID: value}),
		"group": in(identity.Identity{Username: "alice", Groups: []string{"a", value}}),
		"extra": in(identity.Identity{Username: "alice", Extra: map[string][]string{"a": {"b", value}}}),
	}
}

func TestWhatVanishesOnTheWayIsDropped(t *testing.T) {
	cred := jwt("alice", "", "a", "", "b", "")
	cred.Identity.UID = "7"
	cred.Identity.Extra = map[string][]string{"empty": {}, "nil": nil, "Kept": {"", "x"}}
	before := cred.Identity.Clone()
	got, err := only(t, identity.JWT, policy.MechanismRules{}).Admit(&authn.Request{Now: now}, cred)
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.Identity{Username: "alice", UID: "7", Groups: []string{"a", "b", identity.GroupAuthenticated}, Extra: map[string][]string{"Kept": {"", "x"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, &cred.Identity); diff != "" {
		t.Errorf("attack 88: the shared credential was changed (-before +after):\n%s", diff)
	}
}

// Whatever is admitted is a valid header value and arrives at the other end as it was.
func FuzzForwardable(f *testing.F) {
	for _, seed := range []string{"alice", " alice", "a\tb", "a\r\nb", "a\x00", "ä", "\xff", "\u0085", "\u2028", "a  b", "\u00a0", ":", "a\x7f"} {
		f.Add(seed)
	}
	p := only(f, identity.JWT, policy.MechanismRules{AllowedSystemNames: []string{"system:*"}})
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" {
			return
		}
		verdicts := 0
		for place, cred := range places(value) {
			if _, err := p.Admit(&authn.Request{Now: now}, cred); err != nil {
				continue
			}
			verdicts++
			if !httpguts.ValidHeaderFieldValue(value) {
				t.Fatalf("%s: %q was admitted and is no header value", place, value)
			}
		}
		if verdicts != 0 && verdicts != 4 {
			t.Fatalf("%q was admitted in %d places of 4", value, verdicts)
		}
		if verdicts == 0 {
			return
		}
		var wire bytes.Buffer
		wire.WriteString("GET / HTTP/1.1\r\nHost: x\r\n")
		if err := (http.Header{"X-Remote-User": {value}}).Write(&wire); err != nil {
			t.Fatal(err)
		}
		wire.WriteString("\r\n")
		request, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		if got := request.Header["X-Remote-User"]; len(got) != 1 || got[0] != value {
			t.Fatalf("%q arrived as %q", value, got)
		}
	})
}
