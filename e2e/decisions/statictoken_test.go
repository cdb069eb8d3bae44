package decisions_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// The tokens of the static token file.
const (
	tokenAlice = "tok-alice-7d0f1c5be2934a86"
	tokenBob   = "tok-bob-92c4e6f81a3d4b57"

	// tokenFile is the file that all servers are given.
	tokenFile = tokenAlice + `,alice,uid-alice,"dev,ops"` + "\n" +
		tokenBob + ",bob,uid-bob\n" +
		"tok-no-uid,carol,\n" +
		"tok-one-group,dave,uid-dave,dev\n" +
		"tok-empty-groups,erin,uid-erin,\"\"\n" +
		"tok-empty-between,erin,uid-erin,\"dev,,ops\"\n" +
		"tok-doubled-group,erin,uid-erin,\"dev,dev\"\n" +
		"tok-blank-in-groups,frank,uid-frank,\"dev, ops\"\n" +
		"tok-blank-user, frank,uid-frank,dev\n" +
		"\n" +
		"tok-doubled,early,uid-early,dev\n" +
		"tok-doubled,late,uid-late,ops\n" +
		",nobody,uid-nobody,dev\n" +
		"tok-five,grace,uid-grace,dev,further,columns\n" +
		`"tok-with ""quotes""",heidi,uid-heidi,dev` + "\n" +
		"tok-tøken-ключ,ivan,uid-ivan,dev\n" +
		"tok-user-ünïcode,Ünïcode Жук,uid-ü,группа\n" +
		"tok with blanks,judy,uid-judy,dev\n" +
		" tok-leading,kim,uid-kim,dev\n" +
		`tok-comma-user,"last, first",uid-lee,dev` + "\n" +
		"tok-masters,mallory,uid-mallory,system:masters\n" +
		"tok-unauthenticated,nick,uid-nick,\"dev,system:unauthenticated\"\n" +
		"tok-authenticated,olga,uid-olga,\"system:authenticated,dev\"\n" +
		"tok-anonymous,system:anonymous,uid-anonymous,dev\n" +
		"tok-anonymous-unauthenticated,system:anonymous,,system:unauthenticated\n" +
		"tok-node,system:node:one,,system:nodes\n" +
		"tok-account,system:serviceaccount:default:default,uid-account,dev\n"

	// emptyUserLine is what kube-apiserver takes (FILE-5) and Ostiary does not.
	emptyUserLine = "tok-empty-user,,uid-empty,dev\n"

	authenticated   = "system:authenticated"
	unauthenticated = "system:unauthenticated"
)

// alice is who tokenAlice stands for.
func alice() outcome { return as("alice", "dev", "ops", authenticated).withUID("uid-alice") }

// Names of rows of docs/differences.md.
const (
	differsEmptyGroups   = "Empty groups are dropped"
	differsEmptyUser     = "An empty user name is refused"
	differsAddedGroups   = "In impersonation mode, identities to which the API server would add a group are refused"
	differsUnforwardable = "Names with control characters, outer blanks or bytes that are not UTF-8 are refused"
)

func TestStaticToken(t *testing.T) {
	token := func(token string) call { return call{headers: bearer(token)} }
	shared.open.run(t, []row{
		{name: "FILE-1 quoted groups", call: token(tokenAlice), want: alice()},
		{name: "FILE-1 no groups", call: token(tokenBob), want: as("bob", authenticated).withUID("uid-bob")},
		{name: "FILE-1 no uid", call: token("tok-no-uid"), want: as("carol", authenticated)},
		{name: "FILE-1 one group", call: token("tok-one-group"), want: as("dave", "dev", authenticated).withUID("uid-dave")},
		{name: "FILE-1 further columns", call: token("tok-five"), want: as("grace", "dev", authenticated).withUID("uid-grace")},
		{name: "FILE-1 quotation marks in the token", call: token(`tok-with "quotes"`), want: refused()}, // BEAR-5: the token ends at the blank
		{name: "FILE-1 comma in the user name", call: token("tok-comma-user"), want: as("last, first", "dev", authenticated).withUID("uid-lee")},
		{name: "FILE-2 doubled token", call: token("tok-doubled"), want: as("late", "ops", authenticated).withUID("uid-late")},
		{name: "FILE-2 empty token", call: call{headers: []string{"Authorization: Bearer "}}, want: anonymous()},
		{
			name: "FILE-3 empty column of groups", call: token("tok-empty-groups"), want: as("erin", "", authenticated).withUID("uid-erin"),
			difference: differsEmptyGroups, ostiary: as("erin", authenticated).withUID("uid-erin"),
		},
		{
			name: "FILE-3 empty group between", call: token("tok-empty-between"), want: as("erin", "dev", "", "ops", authenticated).withUID("uid-erin"),
			difference: differsEmptyGroups, ostiary: as("erin", "dev", "ops", authenticated).withUID("uid-erin"),
		},
		{name: "FILE-3 doubled group", call: token("tok-doubled-group"), want: as("erin", "dev", "dev", authenticated).withUID("uid-erin")},
		{
			name: "FILE-3 blank before a group", call: token("tok-blank-in-groups"), want: as("frank", "dev", " ops", authenticated).withUID("uid-frank"),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{
			name: "FILE-3 blank before the user name", call: token("tok-blank-user"), want: as(" frank", "dev", authenticated).withUID("uid-frank"),
			difference: differsUnforwardable, ostiary: refused(),
		},
		{name: "FILE-4 unknown token", call: token(tokenAlice + "x"), want: refused()},
		{name: "FILE-4 start of a token", call: token(tokenAlice[:len(tokenAlice)-1]), want: refused()},
		{name: "FILE-4 other letter case", call: token(strings.ToUpper(tokenAlice)), want: refused()},
		{name: "FILE-4 user name as the token", call: token("alice"), want: refused()},
		{name: "FILE-4 token with a leading blank in the file", call: token("tok-leading"), want: refused()},
		{name: "FILE-6 token beyond ASCII", call: token("tok-tøken-ключ"), want: as("ivan", "dev", authenticated).withUID("uid-ivan")},
		{name: "FILE-6 token beyond ASCII in another encoding", call: token("tok-t\xf8ken"), want: refused()},
		{name: "FILE-6 names beyond ASCII", call: token("tok-user-ünïcode"), want: as("Ünïcode Жук", "группа", authenticated).withUID("uid-ü")},
		{name: "FILE-6 token with blanks cannot be sent", call: token("tok with blanks"), want: refused()},
	})
}

// TestEmptyUserName shows FILE-5: kube-apiserver lets a caller in who has no name; Ostiary does not take the file.
func TestEmptyUserName(t *testing.T) {
	got := mustReview(t, shared.open.reference, call{headers: bearer("tok-empty-user")})
	if diff := as("", "dev", authenticated).withUID("uid-empty").diff(got); diff != "" {
		t.Errorf("FILE-5: kube-apiserver (-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, []byte(tokenFile+emptyUserLine), 0o600); err != nil {
		t.Fatal(err)
	}
	frontProxy, err := gate.RequestHeader(shared.backend, "backend")
	if err != nil {
		t.Fatal(err)
	}
	started, err := gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: gate.Object{
		"clusters":       []any{frontProxy},
		"authentication": gate.Object{"staticToken": gate.Object{"file": file, "allowClearText": true}},
	}})
	if err == nil {
		t.Fatalf("the gate starts with a user who has no name, want a refusal; stopping it: %v", started.Stop())
	}
	if !strings.Contains(err.Error(), "the user name is empty") {
		t.Errorf("the gate ends with %v, want it to say that a user name is empty", err)
	}
}

func TestGroupAdder(t *testing.T) {
	token := func(token string) call { return call{headers: bearer(token)} }
	shared.open.run(t, []row{
		{name: "GRP-1 at the end", call: token(tokenAlice), want: alice()},
		{name: "GRP-1 after system:masters", call: token("tok-masters"), want: as("mallory", "system:masters", authenticated).withUID("uid-mallory")},
		{name: "GRP-1 after the groups of a node", call: token("tok-node"), want: as("system:node:one", "system:nodes", authenticated)},
		{
			name: "GRP-1 a ServiceAccount's name brings no groups of its own", call: token("tok-account"),
			want: as("system:serviceaccount:default:default", "dev", authenticated).withUID("uid-account"),
		},
		{name: "GRP-2 already there", call: token("tok-authenticated"), want: as("olga", authenticated, "dev").withUID("uid-olga")},
		{name: "GRP-2 suppressed by system:unauthenticated", call: token("tok-unauthenticated"), want: as("nick", "dev", unauthenticated).withUID("uid-nick")},
		{name: "GRP-2 system:anonymous", call: token("tok-anonymous-unauthenticated"), want: as("system:anonymous", unauthenticated)},
		{
			name: "GRP-2 system:anonymous with groups of its own", call: token("tok-anonymous"),
			want:       as("system:anonymous", "dev").withUID("uid-anonymous"),
			difference: differsAddedGroups, ostiary: outcome{Status: http.StatusForbidden}, mode: modeImpersonation,
		},
	})
}
