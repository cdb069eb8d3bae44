package statictoken

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
)

// Options says what a token file may hold. The zero value is the strict one.
type Options struct {
	// AllowClearText accepts tokens in clear text. Without it, every token must be hashed (G-12).
	AllowClearText bool
}

// Table is a token file that was read and found good. It holds digests of tokens, never a token, and never changes.
type Table struct {
	byDigest  map[digest]*authn.Credential
	clearText int
	warnings  []Warning
}

// Len is the number of tokens that are accepted.
func (t *Table) Len() int { return len(t.byDigest) }

// ClearText is the number of lines whose token stands in clear text.
func (t *Table) ClearText() int { return t.clearText }

// Warnings tells what is odd in a file that is good nevertheless, in the order of its lines.
func (t *Table) Warnings() []Warning { return slices.Clone(t.warnings) }

// Parse reads a token file: CSV with token, user name, uid, optional groups, and further columns that are ignored
// (FILE-1). What Kubernetes does with lines, quotation marks, empty tokens, doubled tokens and groups, it does as well
// (FILE-2, FILE-3). It is stricter in these points:
//
//   - a token must be hashed, unless opts allows clear text; what starts like a hash and is none is refused always,
//   - a user name must not be empty, as no gateway can hand on such a user (GW-4),
//   - a file without an entry is refused (ErrNoEntries),
//   - a byte order mark is refused, where Kubernetes makes it a part of the first token,
//   - two different tokens with the same id are refused, as a revocation could not tell them apart.
//
// All mistakes are reported at once, as *LineError joined by errors.Join; none holds a token. The caller should clear
// data afterwards: Table shares no memory with it.
func Parse(data []byte, opts Options) (*Table, error) {
	var f findings
	records := scan(data, &f)
	b := builder{
		findings: &f,
		opts:     opts,
		table:    &Table{byDigest: make(map[digest]*authn.Credential, len(records))},
		lineOf:   make(map[digest]int, len(records)),
		idDigest: make(map[string]digest, len(records)),
		perUser:  make(map[string]int),
	}
	for i := range records {
		b.add(&records[i])
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if len(b.table.byDigest) == 0 {
		return nil, ErrNoEntries
	}
	slices.SortStableFunc(f.warnings, func(a, b Warning) int { return a.Line - b.Line })
	b.table.warnings = f.warnings
	return b.table, nil
}

// builder fills a Table.
type builder struct {
	*findings
	opts     Options
	table    *Table
	lineOf   map[digest]int    // where each token was last seen
	idDigest map[string]digest // which token each id of a hashed entry stands for
	perUser  map[string]int    // clear-text entries of each user so far
}

func (b *builder) add(r *record) {
	if r.username == "" {
		b.problem(r.line, "", "the user name is empty: such a user cannot be handed on to a cluster; give the entry a name or remove the line")
		return
	}
	id, sum, ok := b.identify(r)
	if !ok {
		return
	}
	if earlier, doubled := b.lineOf[sum]; doubled {
		b.warnf(r.line, "the token stands in line %d as well: this line is used, that one is not", earlier)
	}
	b.lineOf[sum] = r.line
	b.warnBlanks(r)
	b.table.byDigest[sum] = credential(id, r)
}

// identify gives the credential id and the digest of a line's token, or records why the line is refused.
func (b *builder) identify(r *record) (identity.CredentialID, digest, bool) {
	if claimsHashed(r.token) {
		id, sum, ok := parseHashed(r.token)
		if !ok {
			b.problem(r.line, r.safeUser(), malformedHash)
			return identity.CredentialID{}, digest{}, false
		}
		if other, taken := b.idDigest[id]; taken && other != sum {
			b.problem(r.line, r.safeUser(), fmt.Sprintf("the id %s stands in line %d for another token: give one of them a new id, 16 random hex digits", id, b.lineOf[other]))
			return identity.CredentialID{}, digest{}, false
		}
		b.idDigest[id] = sum
		return hashedCredentialID(id), sum, true
	}
	if !b.opts.AllowClearText {
		b.problem(r.line, r.safeUser(), `the token stands in clear text: run "ostiary config hash-tokens" on the file`)
		return identity.CredentialID{}, digest{}, false
	}
	if why := weakness(r.token); why != "" {
		b.warnf(r.line, "the token of user %q %s", r.safeUser(), why)
	}
	b.table.clearText++
	b.perUser[r.username]++
	return identity.ClearTextTokenID(r.username, b.perUser[r.username]), digestOf(r.token), true
}

// malformedHash names the form that was expected.
const malformedHash = `the token starts with "sha256:" and is not "sha256:", 16 lower-case hex digits, ":", 64 lower-case hex digits: ` +
	`write it so; a token in clear text must not start like this`

// warnBlanks tells of names that no gateway can hand on as they are. `"dev, ops"` is a usual slip: the second group is
// " ops" (FILE-3).
func (b *builder) warnBlanks(r *record) {
	for _, name := range append([]string{r.username, r.uid}, r.groups...) {
		if name != strings.Trim(name, " \t") && !strings.Contains(name, r.token) {
			b.warnf(r.line, "the name %q starts or ends with a blank: whoever presents the token will be refused", name)
		}
	}
}

// safeUser is the line's user name for messages, unless it repeats the token.
func (r *record) safeUser() string {
	if strings.Contains(r.username, r.token) {
		return ""
	}
	return r.username
}

// credential builds what the mechanism answers for the line. Every string is cloned: the CSV reader cuts all columns of
// a line out of one piece of memory, so that a user name kept as it is would keep the token in memory as well.
func credential(id identity.CredentialID, r *record) *authn.Credential {
	var groups []string
	if r.groups != nil {
		groups = make([]string, len(r.groups))
		for i, group := range r.groups {
			groups[i] = strings.Clone(group)
		}
	}
	return &authn.Credential{
		ID:        id,
		Mechanism: identity.StaticToken,
		Identity: identity.Identity{
			Username: strings.Clone(r.username),
			UID:      strings.Clone(r.uid),
			Groups:   groups,
		},
	}
}
