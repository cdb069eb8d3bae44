package statictoken

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ostiary/ostiary/internal/identity"
)

// RotationNotice is told after every conversion that took tokens out of a file.
const RotationNotice = "the tokens stood on this disk in clear text, and may still: in blocks that the file system has not reused, " +
	"in snapshots and in backups. Replace them when you can"

// Report says what a conversion did. It never holds a token.
type Report struct {
	// Converted lists the entries whose token stood in clear text, in the order of their lines.
	Converted []ConvertedEntry
	// AlreadyHashed counts the entries that were hashed before and were left as they are.
	AlreadyHashed int
	// Warnings tells what is odd in the file, and RotationNotice where it applies.
	Warnings []Warning
}

// ConvertedEntry is one entry whose token was replaced by its hash.
type ConvertedEntry struct {
	Line     int
	Username string
	// ID is the credential id by which the entry is known from now on.
	ID identity.CredentialID
}

// Hash replaces every token in clear text of a token file by its hash, and leaves every other byte as it is: other
// columns, quotation marks, blank lines, line ends. Hashed entries are left alone, so that converting twice changes
// nothing.
//
// It refuses the whole file if one of its lines could not be used afterwards, or if a token is too weak for a plain
// hash: a published sample, a UUID, or one estimated at fewer than 128 random bits. The error names every such line and
// user, never a token.
func Hash(data []byte) ([]byte, Report, error) {
	_, unusable := Parse(data, Options{AllowClearText: true})
	records := scan(data, new(findings)) // what it finds is in unusable
	var f findings
	var report Report
	var converted bytes.Buffer
	converted.Grow(len(data))
	written := 0
	taken := takenIDs(records)
	for i := range records {
		r := &records[i]
		if claimsHashed(r.token) {
			report.AlreadyHashed++
			continue
		}
		if why := weakness(r.token); why != "" {
			f.problem(r.line, r.safeUser(), "the token "+why)
			continue
		}
		id := newID()
		for taken[id] {
			id = newID()
		}
		taken[id] = true
		converted.Write(data[written:r.start])
		converted.WriteString(formatHashed(id, r.token))
		written = r.end
		report.Converted = append(report.Converted, ConvertedEntry{Line: r.line, Username: r.username, ID: hashedCredentialID(id)})
	}
	if err := errors.Join(unusable, f.err()); err != nil {
		return nil, Report{}, err
	}
	converted.Write(data[written:])

	// Whatever was done to the file, the result has to be one that the strict mode takes.
	table, err := Parse(converted.Bytes(), Options{})
	if err != nil {
		return nil, Report{}, err
	}
	report.Warnings = table.Warnings()
	if len(report.Converted) > 0 {
		report.Warnings = append(report.Warnings, Warning{Text: RotationNotice})
	}
	return converted.Bytes(), report, nil
}

// takenIDs are the ids that hashed entries of the file have already.
func takenIDs(records []record) map[string]bool {
	taken := make(map[string]bool)
	for i := range records {
		if id, _, ok := parseHashed(records[i].token); ok {
			taken[id] = true
		}
	}
	return taken
}

// String sums the report up in one line for a terminal.
func (r Report) String() string {
	return fmt.Sprintf("%d tokens were replaced by their hashes, %d were hashed before", len(r.Converted), r.AlreadyHashed)
}
