package statictoken_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/statictoken"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

// Tokens as "openssl rand -hex 32" prints them.
const (
	tokenA = "6f1c0a5be7d94382bd60e1f75a2c98340d7be416a953cf82e0b7146d9a35fc08"
	tokenB = "93e7d205ac416bf8750e2c9d1bf6a8347e05d2c9486fb1a07d3ec852f9146ab0"
	idA    = "00a1b2c3d4e5f607"
	idB    = "17f6e5d4c3b2a190"
)

func hashed(id, token string) string {
	return fmt.Sprintf("sha256:%s:%x", id, sha256.Sum256([]byte(token)))
}

func parse(t testing.TB, file string, opts statictoken.Options) *statictoken.Table {
	t.Helper()
	table, err := statictoken.Parse([]byte(file), opts)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return table
}

func ask(ctx context.Context, table *statictoken.Table, token string) authn.Answer {
	return statictoken.New(table).AuthenticateToken(ctx, &authn.Request{}, secret.New(token))
}

func TestAcceptedEntries(t *testing.T) {
	clearText := statictoken.Options{AllowClearText: true}
	for _, test := range []struct {
		name  string
		file  string
		opts  statictoken.Options
		token string
		want  identity.Identity
		id    string
	}{
		{
			"FILE-1 hashed", hashed(idA, tokenA) + ",alice,7,\"dev,ops\"\n",
			statictoken.Options{},
			tokenA,
			identity.Identity{Username: "alice", UID: "7", Groups: []string{"dev", "ops"}},
			"STATIC=" + idA,
		},
		{
			"FILE-1 hashed and quoted", `"` + hashed(idA, tokenA) + "\",alice,7\n",
			statictoken.Options{},
			tokenA,
			identity.Identity{Username: "alice", UID: "7"},
			"STATIC=" + idA,
		},
		{
			"FILE-1 hashed where clear text is allowed", hashed(idA, tokenA) + ",alice,7\n", clearText, tokenA,
			identity.Identity{Username: "alice", UID: "7"},
			"STATIC=" + idA,
		},
		{
			"FILE-1 further columns are ignored", tokenA + ",alice,7,dev,x,y\n", clearText, tokenA,
			identity.Identity{Username: "alice", UID: "7", Groups: []string{"dev"}},
			"",
		},
		{
			"FILE-1 blank lines, CRLF and no line end", "\r\n" + tokenA + ",alice,7\r\n\r\n" + tokenB + ",bob,", clearText, tokenB,
			identity.Identity{Username: "bob"},
			"",
		},
		{
			"FILE-2 the later line of a doubled token wins", tokenA + ",alice,1\n" + tokenA + ",bob,2\n", clearText, tokenA,
			identity.Identity{Username: "bob", UID: "2"},
			"",
		},
		{
			"FILE-2 also when one of them is hashed", tokenA + ",alice,1\n" + hashed(idA, tokenA) + ",bob,2\n", clearText, tokenA,
			identity.Identity{Username: "bob", UID: "2"},
			"STATIC=" + idA,
		},
		{
			"FILE-2 also when a hashed line was copied", hashed(idA, tokenA) + ",alice,1\n" + hashed(idA, tokenA) + ",bob,2\n",
			statictoken.Options{},
			tokenA,
			identity.Identity{Username: "bob", UID: "2"},
			"STATIC=" + idA,
		},
		{
			"FILE-3 groups are not trimmed and empty ones kept", tokenA + `,alice,1,"a, b,,c"`, clearText, tokenA,
			identity.Identity{Username: "alice", UID: "1", Groups: []string{"a", " b", "", "c"}},
			"",
		},
		{
			"FILE-3 an empty quoted column is one empty group", tokenA + `,alice,1,""`, clearText, tokenA,
			identity.Identity{Username: "alice", UID: "1", Groups: []string{""}},
			"",
		},
		{
			"FILE-6 not ASCII", "schlüssel-☃,alice,1\n", clearText, "schlüssel-☃",
			identity.Identity{Username: "alice", UID: "1"},
			"",
		},
		{
			"FILE-6 not UTF-8", "\xff,x,1\nq\xff\xfe,alice,1\n", clearText, "q\xff\xfe",
			identity.Identity{Username: "alice", UID: "1"},
			"",
		},
		{
			"WS-6 with spaces, a comma, a quotation mark and a line break", "\" a b,\"\"c\nd\",alice,1\n", clearText, " a b,\"c\nd",
			identity.Identity{Username: "alice", UID: "1"},
			"",
		},
		{
			"the hash stands for itself nowhere", tokenA + ",alice,1\n#x,bob,2\n", clearText, "#x",
			identity.Identity{Username: "bob", UID: "2"},
			"",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(t.Context(), parse(t, test.file, test.opts), test.token)
			if answer.Outcome != authn.Accepted {
				t.Fatalf("outcome %v, want accepted", answer.Outcome)
			}
			got := answer.Credential
			if diff := cmp.Diff(test.want, got.Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if got.Mechanism != identity.StaticToken || !got.NotAfter.IsZero() || got.Audiences != nil {
				t.Errorf("credential %+v: want the mechanism, no expiry, no audiences", got)
			}
			if test.id != "" && got.ID.Value != test.id {
				t.Errorf("id %q, want %q", got.ID.Value, test.id)
			}
			if test.id == "" && !strings.HasPrefix(got.ID.Value, "STATIC=cleartext-") {
				t.Errorf("id %q, want one of a clear-text entry", got.ID.Value)
			}
		})
	}
}

func TestTokensThatAreNotInTheFile(t *testing.T) {
	table := parse(t, hashed(idA, tokenA)+",alice,7\n"+tokenB+",bob,8\n,carol,9\n", statictoken.Options{AllowClearText: true})
	sum := sha256.Sum256([]byte(tokenA))
	for _, test := range []struct{ name, token string }{
		{"FILE-4 unknown", "nobody"},
		{"FILE-4 other case", strings.ToUpper(tokenA)},
		{"FILE-4 with a blank", tokenA + " "},
		{"FILE-4 a part", tokenA[:63]},
		{"FILE-2 the empty token of a skipped line", ""},
		{"attack: present the hashed form", hashed(idA, tokenA)},
		{"attack: present the digest in hex", hex.EncodeToString(sum[:])},
		{"attack: present the digest's bytes", string(sum[:])},
		{"attack: present the id", idA},
		{"attack: present the user", "alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if answer := ask(t.Context(), table, test.token); answer.Outcome != authn.NoCredential || answer.Credential != nil {
				t.Errorf("answer %+v, want no credential", answer)
			}
		})
	}
	t.Run("a mechanism without a table", func(t *testing.T) {
		for _, mechanism := range []*statictoken.Mechanism{nil, {}, statictoken.New(nil), statictoken.New(&statictoken.Table{})} {
			if answer := mechanism.AuthenticateToken(t.Context(), nil, secret.New(tokenA)); answer.Outcome != authn.NoCredential {
				t.Errorf("outcome %v, want no credential", answer.Outcome)
			}
		}
	})
}

func TestRefusedFiles(t *testing.T) {
	good := hashed(idA, tokenA) + ",alice,7\n"
	for _, test := range []struct {
		name  string
		file  string
		clear bool
		want  string // in the error
	}{
		{"attack 58: shrunk to nothing", "", true, "no entries"},
		{"attack 58: only line ends", "\n\r\n\n", true, "no entries"},
		{"attack 58: only skipped lines", ",alice,1\n", true, "no entries"},
		{"attack 58: byte order mark", "\xef\xbb\xbf" + good, false, "line 1: the file starts with a byte order mark (UTF-8)"},
		{"attack 58: UTF-16", "\xff\xfes\x00h\x00", true, "byte order mark (UTF-16)"},
		{"attack 58: torn in a quoted column", good + tokenB + ",bob,1,\"de", true, "line 2: a quotation mark is"},
		{"attack 58: torn in the uid's comma", good + tokenB + ",bob", true, "line 2: there are 2 columns"},
		{"attack 58: torn in a hash", good + hashed(idB, tokenB)[:60], false, "line 2: there are 1 columns"},
		{"attack 58: zeros after a crash", good + strings.Repeat("\x00", 512), true, "line 2: there are 1 columns"},
		{"FILE-1 too few columns", "token-x,alice\n" + good, true, "line 1: there are 2 columns"},
		{"FILE-1 a comment is no such thing", "# our tokens\n" + good, false, "the format has no comments"},
		{"FILE-1 bare quotation mark", good + `to"ken,bob,1` + "\n", true, "line 2: a quotation mark stands inside"},
		{"FILE-1 text after a quotation mark", good + `"token"x,bob,1` + "\n", true, "line 2: a quotation mark is not closed"},
		{"FILE-1 quotation mark never closed", good + "\"token,bob,1\n" + good, true, "line 2: a quotation mark is opened and never closed"},
		{"FILE-5 empty user name", good + hashed(idB, tokenB) + ",,1\n", false, "line 2: the user name is empty"},
		{"G-12 clear text", good + tokenB + ",bob,1\n", false, `line 2, user "bob": the token stands in clear text: run "ostiary config hash-tokens"`},
		{"G-12 hash cut short", hashed(idA, tokenA)[:80] + ",alice,1\n", true, `line 1, user "alice": the token starts with "sha256:"`},
		{"G-12 hash too long", hashed(idA, tokenA) + "0,alice,1\n", true, "is not"},
		{"G-12 hash in capitals", strings.ToUpper(hashed(idA, tokenA)) + ",alice,1\n", true, "is not"},
		{"G-12 digest in capitals", "sha256:" + idA + ":" + strings.Repeat("AB", 32) + ",alice,1\n", true, "is not"},
		{"G-12 hash after a blank", " " + hashed(idA, tokenA) + ",alice,1\n", true, "is not"},
		{"G-12 hash before a blank", hashed(idA, tokenA) + " ,alice,1\n", true, "is not"},
		{"G-12 hash without an id", "sha256:" + strings.Repeat("0b", 32) + ",alice,1\n", true, "is not"},
		{"G-12 hash with a short id", "sha256:00ff:" + strings.Repeat("0b", 32) + ",alice,1\n", true, "is not"},
		{"G-12 hash with an id that is not hex", "sha256:" + strings.Repeat("x", 16) + ":" + strings.Repeat("0b", 32) + ",alice,1\n", true, "is not"},
		{"G-12 a fourth part", hashed(idA, tokenA) + ":1,alice,1\n", true, "is not"},
		{"G-12 clear text that looks like a hash", "sha256:tralala,alice,1\n", true, "must not start like this"},
		{"two tokens of one id", good + hashed(idA, tokenB) + ",bob,1\n", false, "line 2, user \"bob\": the id " + idA + " stands in line 1"},
		{"too large", good + strings.Repeat("\n", statictoken.MaxFileBytes), false, "larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, err := statictoken.Parse([]byte(test.file), statictoken.Options{AllowClearText: test.clear})
			if err == nil || table != nil {
				t.Fatalf("table %v, error %v: want no table and an error", table, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q in it", err, test.want)
			}
			for _, text := range []string{tokenA, tokenB, "tralala", "token-x", "to\"ken", idA + ":"} {
				if strings.Contains(err.Error(), text) {
					t.Errorf("error %q holds the token %q", err, text)
				}
			}
		})
	}
}

// The example of the documentation is a file that can be used.
func TestDocumentedFile(t *testing.T) {
	page, err := os.ReadFile("../../../docs/mechanisms/statictoken.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```csv\n")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the page has no example")
	}
	table := parse(t, example, statictoken.Options{})
	if table.Len() != 2 || len(table.Warnings()) != 0 {
		t.Errorf("%d entries, warnings %v: want two and none", table.Len(), table.Warnings())
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := statictoken.Parse([]byte("a,b\n"+tokenA+",alice,1\n"+`x"y,bob,1`+"\n"+hashed(idB, tokenB)+",,1\n"), statictoken.Options{})
	want := []string{"line 1: ", `line 2, user "alice": `, "line 3: ", "line 4: "}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("error %q, want %d lines", err, len(want))
	}
	for i, prefix := range want {
		if !strings.HasPrefix(lines[i], prefix) {
			t.Errorf("line %q, want it to start with %q", lines[i], prefix)
		}
	}
	if _, ok := errors.AsType[*statictoken.LineError](err); !ok {
		t.Errorf("error %T holds no LineError", err)
	}
}

func TestMistakesAreBounded(t *testing.T) {
	_, err := statictoken.Parse([]byte(strings.Repeat("x\n", 5000)), statictoken.Options{})
	if lines := strings.Split(fmt.Sprint(err), "\n"); len(lines) != 101 || lines[100] != "4900 more lines are wrong" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestAUserNamedLikeTheTokenIsNotPrinted(t *testing.T) {
	_, err := statictoken.Parse([]byte(tokenA+","+tokenA+",1\n"), statictoken.Options{})
	if err == nil || strings.Contains(err.Error(), tokenA) {
		t.Errorf("error %v: want one without the token", err)
	}
}

func TestWarnings(t *testing.T) {
	file := ",ghost,1\n" + tokenA + ",alice,1,\"dev, ops\"\n\n" + tokenA + ",alice,1\npassword123,bob,2\n"
	table := parse(t, file, statictoken.Options{AllowClearText: true})
	var got []string
	for _, warning := range table.Warnings() {
		got = append(got, warning.String())
	}
	want := []string{
		"line 1: the token is empty: the line is skipped",
		`line 2: the name " ops" starts or ends with a blank: whoever presents the token will be refused`,
		"line 4: the token stands in line 2 as well: this line is used, that one is not",
		`line 5: the token of user "bob" is a sample that was published: make a new token with "openssl rand -hex 32" and hand it to its user`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if table.Len() != 2 || table.ClearText() != 3 {
		t.Errorf("%d tokens, %d in clear text; want 2 and 3", table.Len(), table.ClearText())
	}
	if silent := parse(t, hashed(idA, tokenA)+",alice,1\n", statictoken.Options{}); len(silent.Warnings()) != 0 || silent.ClearText() != 0 {
		t.Errorf("a good file: warnings %v, %d in clear text", silent.Warnings(), silent.ClearText())
	}
}

func TestCredentialIDsDoNotHelpToGuess(t *testing.T) {
	ids := func(file string) map[string]string {
		table := parse(t, file, statictoken.Options{AllowClearText: true})
		found := make(map[string]string)
		for _, token := range []string{tokenA, tokenB, "a", "b"} {
			if answer := ask(t.Context(), table, token); answer.Outcome == authn.Accepted {
				found[token] = answer.Credential.ID.Value
			}
		}
		return found
	}
	first := ids(tokenA + ",alice,1\n" + tokenB + ",alice,1\na,bob,1\n")
	if first[tokenA] == first[tokenB] || first[tokenA] == first["a"] {
		t.Errorf("ids %v: want one for each", first)
	}
	// The same users with other tokens have the same ids: nothing of the token is in them.
	second := ids(tokenB + ",alice,1\n" + tokenA + ",alice,1\nb,bob,1\n")
	if first[tokenA] != second[tokenB] || first["a"] != second["b"] {
		t.Errorf("ids %v and %v: want them to depend on users only", first, second)
	}
	// User "x1", entry 1, and user "x", entry 11, are not the same.
	var many strings.Builder
	for i := range 11 {
		fmt.Fprintf(&many, "t%d,x,1\n", i)
	}
	table := parse(t, many.String()+"u,x1,1\n", statictoken.Options{AllowClearText: true})
	if ask(t.Context(), table, "t10").Credential.ID == ask(t.Context(), table, "u").Credential.ID {
		t.Error("two entries of two users have one id")
	}
}

// As Kubernetes reads the file, so do we, wherever we read it at all.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "\n", tokenA + ",alice,1\n", hashed(idA, tokenA) + ",alice,1,\"a,b\"\r\n", "\"a\nb\",c,d\n", "a,b\n", "x\"y,b,c\n", ",a,b\nc,d,e,\"\"",
		"\xef\xbb\xbfa,b,c", "a,b,c\rd,e,f\r", "sha256:x,a,b", "a,b,c\na,d,e\n", "\"\"\"\",b,c", "\"a\r\nb\",c,d\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		table, err := statictoken.Parse(data, statictoken.Options{AllowClearText: true})
		if !bytes.Equal(before, data) {
			t.Fatal("Parse changed its input")
		}
		if (err == nil) != (table != nil) {
			t.Fatalf("table %v, error %v", table, err)
		}
		if strict, err := statictoken.Parse(data, statictoken.Options{}); err == nil && strict.ClearText() != 0 {
			t.Fatal("the strict mode let clear text in")
		}
		if err != nil {
			return
		}
		want := kubernetesReads(t, data)
		for token, id := range want {
			if strings.HasPrefix(token, "sha256:") {
				continue
			}
			answer := ask(t.Context(), table, token)
			if answer.Outcome != authn.Accepted {
				t.Fatalf("token %q is not accepted", token)
			}
			if !strings.HasPrefix(answer.Credential.ID.Value, "STATIC=cleartext-") {
				continue // the same token stands hashed in a later line
			}
			if diff := cmp.Diff(id, answer.Credential.Identity); diff != "" {
				t.Fatalf("token %q (-Kubernetes +ours):\n%s", token, diff)
			}
		}
	})
}

// kubernetesReads reads a token file by the rules FILE-1 to FILE-3.
func kubernetesReads(t *testing.T, data []byte) map[string]identity.Identity {
	t.Helper()
	tokens := make(map[string]identity.Identity)
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return tokens
		}
		if err != nil || len(fields) < 3 {
			t.Fatalf("Kubernetes refuses the file that we take: %v %q", err, fields)
		}
		if fields[0] == "" {
			continue
		}
		id := identity.Identity{Username: fields[1], UID: fields[2]}
		if len(fields) > 3 {
			id.Groups = strings.Split(fields[3], ",")
		}
		tokens[fields[0]] = id
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	mechanism, request := statictoken.New(bigTable(t, tokenA)), &authn.Request{}
	ctx := t.Context()
	for _, token := range []string{tokenA, tokenB, strings.Repeat("x", 2048), ""} {
		wrapped := secret.New(token)
		if n := testing.AllocsPerRun(100, func() { mechanism.AuthenticateToken(ctx, request, wrapped) }); n != 0 {
			t.Errorf("%d bytes: %v allocations", len(token), n)
		}
	}
}

func BenchmarkAuthenticateToken(b *testing.B) {
	mechanism, request, token := statictoken.New(bigTable(b, tokenA)), &authn.Request{}, secret.New(tokenA)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if mechanism.AuthenticateToken(ctx, request, token).Outcome != authn.Accepted {
			b.Fatal("not accepted")
		}
	}
}

// bigTable holds token among a thousand others.
func bigTable(t testing.TB, token string) *statictoken.Table {
	t.Helper()
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, "%s,user-%d,%d\n", hashed(fmt.Sprintf("%016x", i), rand.Text()), i, i)
	}
	file.WriteString(hashed(idA, token) + ",alice,1\n")
	return parse(t, file.String(), statictoken.Options{})
}
