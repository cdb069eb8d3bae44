package decisions_test

import (
	"net/http"
	"testing"
)

// Names of rows of docs/differences.md.
const (
	differsOriginal     = "In impersonation mode, identities that callers act as have extras `ostiary.dev/original-*`"
	differsUnknown      = "Unknown `Impersonate…` headers: 400"
	differsDoubledUser  = "Doubled or empty `Impersonate-User`: 400"
	differsDoubledUID   = "Doubled or empty `Impersonate-Uid`: 400"
	differsExtraKey     = "`Impersonate-Extra-*` with broken or reserved keys: 400"
	differsAbsoluteForm = "Request targets in absolute form and `*`: 400"
)

// TestImpersonation is about callers who act as somebody else: the API server judges that itself where the gate is its
// authenticating proxy, and the gate does where it impersonates.
func TestImpersonation(t *testing.T) {
	by := func(token string, headers ...string) call { return call{headers: append(bearer(token), headers...)} }
	mallory := as("mallory", "system:masters", authenticated).withUID("uid-mallory")
	malformed := outcome{Status: http.StatusBadRequest}
	// acting is a row that the modes agree on but for the record of who really called.
	acting := func(name string, want outcome, headers ...string) row {
		if want.Extra == nil {
			want = want.withNoExtra()
		}
		return row{
			name: name, call: by("tok-masters", headers...), want: want,
			difference: differsOriginal, mode: modeImpersonation,
			ostiary: want.withExtra("ostiary.dev/original-user", "mallory").withExtra("ostiary.dev/original-uid", "uid-mallory").
				withExtra("ostiary.dev/original-groups", "system:masters", authenticated),
		}
	}
	// refusing is a row that Ostiary refuses as malformed.
	refusing := func(name, difference string, want outcome, headers ...string) row {
		return row{name: name, call: by("tok-masters", headers...), want: want, difference: difference, ostiary: malformed}
	}
	const key = "example.com/team"
	shared.open.run(t, []row{
		acting("IMP-1 user", as("bob", authenticated), "Impersonate-User: bob"),
		acting("IMP-1 names of headers in other letter case", as("bob", "dev", authenticated), "iMPERSONATE-uSER: bob", "IMPERSONATE-GROUP: dev"),
		acting("IMP-1 groups in order", as("bob", "z", "a", "z", authenticated), "Impersonate-User: bob", "Impersonate-Group: z", "Impersonate-Group: a", "Impersonate-Group: z"),
		acting("IMP-1 comma in a group", as("bob", "a,b", authenticated), "Impersonate-User: bob", "Impersonate-Group: a,b"),
		acting("IMP-1 uid", as("bob", authenticated).withUID("u-1"), "Impersonate-User: bob", "Impersonate-Uid: u-1"),
		acting("IMP-1 extra", as("bob", authenticated).withExtra(key, "b", "a"), "Impersonate-User: bob", "Impersonate-Extra-Example.com%2fTeam: b", "Impersonate-Extra-Example.com%2fTeam: a"),
		acting("IMP-1 beyond ASCII", as("Жук", "группа", authenticated), "Impersonate-User: Жук", "Impersonate-Group: группа"),
		refusing("IMP-1 first of two users", differsDoubledUser, as("bob", authenticated), "Impersonate-User: bob", "Impersonate-User: carol"),
		refusing("IMP-1 first of two uids", differsDoubledUID, as("bob", authenticated).withUID("u-1"), "Impersonate-User: bob", "Impersonate-Uid: u-1", "Impersonate-Uid: u-2"),
		refusing("IMP-1 empty uid", differsDoubledUID, as("bob", authenticated), "Impersonate-User: bob", "Impersonate-Uid:"),
		acting("IMP-1 empty group", as("bob", "", authenticated), "Impersonate-User: bob", "Impersonate-Group:"),
		refusing("IMP-1 key that does not decode", differsExtraKey, as("bob", authenticated).withExtra("a%zz", "v"), "Impersonate-User: bob", "Impersonate-Extra-a%zz: v"),
		refusing("IMP-1 two spellings of a key", differsExtraKey, as("bob", authenticated), "Impersonate-User: bob", "Impersonate-Extra-a: v", "Impersonate-Extra-%61: w"),
		refusing("IMP-1 key of the gate's own", differsExtraKey, as("bob", authenticated).withExtra("ostiary.dev/original-user", "jane"),
			"Impersonate-User: bob", "Impersonate-Extra-Ostiary.dev%2foriginal-User: jane"),
		refusing("IMP-1 unknown header", differsUnknown, mallory, "Impersonate-Mode: all"),
		{name: "IMP-2 group without a user", call: by("tok-masters", "Impersonate-Group: dev"), want: malformed},
		{name: "IMP-2 uid without a user", call: by("tok-masters", "Impersonate-Uid: u-1"), want: malformed},
		{name: "IMP-2 extra without a user", call: by("tok-masters", "Impersonate-Extra-a: v"), want: malformed},
		{name: "IMP-2 group with an empty user", call: by("tok-masters", "Impersonate-User:", "Impersonate-Group: dev"), want: malformed},
		refusing("IMP-2 empty user alone", differsDoubledUser, mallory, "Impersonate-User:"),
		acting("IMP-5 a ServiceAccount brings its groups", as("system:serviceaccount:default:robot", "system:serviceaccounts", "system:serviceaccounts:default", authenticated),
			"Impersonate-User: system:serviceaccount:default:robot"),
		acting("IMP-5 a ServiceAccount with other groups", as("system:serviceaccount:default:robot", "dev", authenticated),
			"Impersonate-User: system:serviceaccount:default:robot", "Impersonate-Group: dev"),
		acting("IMP-5 system:anonymous", anonymous(), "Impersonate-User: system:anonymous"),
		acting("IMP-5 among the unauthenticated", as("bob", unauthenticated), "Impersonate-User: bob", "Impersonate-Group: system:unauthenticated"),
		acting("IMP-5 system:authenticated among others", as("bob", authenticated, "dev"), "Impersonate-User: bob", "Impersonate-Group: system:authenticated", "Impersonate-Group: dev"),
		acting("IMP-6 a ServiceAccount's name that is not valid", as("system:serviceaccount:default:NO", authenticated), "Impersonate-User: system:serviceaccount:default:NO"),
		{
			// IMP-12: what a node becomes depends on what its impersonator did before, so this one has done nothing yet.
			name: "IMP-5 a node brings its group", call: by("tok-masters-fresh", "Impersonate-User: system:node:one"),
			want:       as("system:node:one", "system:nodes", authenticated).withNoExtra(),
			difference: differsOriginal, mode: modeImpersonation,
			ostiary: as("system:node:one", "system:nodes", authenticated).withExtra("ostiary.dev/original-user", "newcomer").
				withExtra("ostiary.dev/original-groups", "system:masters", authenticated),
		},
		acting("IMP-10 system:masters", as("bob", "system:masters", authenticated), "Impersonate-User: bob", "Impersonate-Group: system:masters"),
		{name: "IMP-7 without rights", call: by(tokenAlice, "Impersonate-User: bob"), want: outcome{Status: http.StatusForbidden}},
		{name: "IMP-7 without rights, as oneself", call: by(tokenAlice, "Impersonate-User: alice"), want: outcome{Status: http.StatusForbidden}},
		{name: "IMP-7 without a credential", call: call{headers: []string{"Impersonate-User: bob"}}, want: outcome{Status: http.StatusForbidden}},
		{name: "IMP-7 with a bad token", call: by("wrong", "Impersonate-User: bob"), want: refused()},
		{
			name: "SSR-1 target in absolute form", call: call{target: "https://stranger.example.com" + reviews, headers: bearer(tokenAlice)}, want: alice(),
			difference: differsAbsoluteForm, ostiary: malformed,
		},
	})
}
