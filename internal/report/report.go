package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// APIVersion is the version of the JSON form. A field may be added within one version; none changes its meaning.
const APIVersion = "report.ostiary.dev/v1alpha1"

// Report is what one run found. Fill it in, then call Sort; it must not be changed while it is written.
type Report struct {
	// Kind says what the report is, for example "CredentialInventory"; with APIVersion it names the form of Details.
	Kind string
	// Title is for people.
	Title string
	// Tool and Version say what made the report.
	Tool, Version string
	// Target is what was looked at: a server's address, or a snapshot's name.
	Target string
	// Generated is when the facts were read.
	Generated time.Time
	// Sources are all that were asked, those too that could not be read.
	Sources []Source
	// Summary is the few figures that stand above everything else.
	Summary []Figure
	// Findings are results of checks. An inventory may have none.
	Findings []Finding
	// Table is the main table of a report that is about things rather than findings; empty otherwise.
	Table Table
	// Picture is drawn in HTML; nil for none.
	Picture *Picture
	// Details is the full result for programs, in a form of the Kind's own; nil for none.
	Details any
}

// Figure is a name and a value above a report.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Table is rows of cells. Each row has as many cells as there are columns.
type Table struct {
	Columns []Column
	Rows    []Row
}

// Column is the heading of a table's column.
type Column struct {
	// Name is the heading.
	Name string
	// Detail keeps the column out of the table for people, where it would not fit.
	Detail bool
}

// Row is one line of a Table.
type Row struct {
	// Key names what the row is about, the same in every run; OnlyNew compares by it.
	Key   string
	Cells []string
}

// Access says how far a source was read. The zero value is Unread.
type Access string

const (
	// Unread says that nothing is known of the source: Why says why.
	Unread Access = ""
	// Partial says that some of it is known: Why says what is missing.
	Partial Access = "partial"
	// Read says that all of it was read.
	Read Access = "read"
	// Off says that the source was proved not to exist there, so that nothing is missing.
	Off Access = "off"
)

// String is the word for it in all formats.
func (a Access) String() string {
	if a == Unread {
		return "unread"
	}
	return string(a)
}

// MarshalText implements encoding.TextMarshaler.
func (a Access) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Source is one thing that was asked for facts.
type Source struct {
	// Name is the source's, for example "CertificateSigningRequests".
	Name string `json:"name"`
	// Access says how far it was read.
	Access Access `json:"access"`
	// Why says what is missing and what would help; empty where nothing is.
	Why string `json:"why,omitempty"`
	// Items is how many things it gave.
	Items int `json:"items"`
	// Optional sources do not make a report incomplete when they are unread: they were not asked for, or another says the same.
	Optional bool `json:"optional,omitempty"`
	// From and Until bound the time that the source tells of; zero where it tells of now.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// complete reports whether nothing that was asked for is missing.
func (s *Source) complete() bool { return s.Optional || s.Access == Read || s.Access == Off }

// Complete reports whether every source was read. A report without sources is not complete: nothing was asked.
func (r *Report) Complete() bool {
	return len(r.Sources) > 0 && !slices.ContainsFunc(r.Sources, func(s Source) bool { return !s.complete() })
}

// missing are the sources that make the report incomplete.
func (r *Report) missing() []Source {
	var missing []Source
	for _, source := range r.Sources {
		if !source.complete() {
			missing = append(missing, source)
		}
	}
	return missing
}

// completeness says in one line how much was read, for example "INCOMPLETE: 6 of 9 sources read".
func (r *Report) completeness() string {
	read, optional := 0, 0
	for i := range r.Sources {
		switch source := &r.Sources[i]; {
		case source.Access == Read, source.Access == Off:
			read++
		case source.Optional:
			optional++
		}
	}
	text := number(read) + " of " + plural(len(r.Sources)-optional, "source") + " read"
	if optional > 0 {
		text += ", " + number(optional) + " optional not"
	}
	if r.Complete() {
		return "complete: " + text
	}
	return "INCOMPLETE: " + text
}

// Sort puts everything in the order in which it is written: sources by name, findings worst first. Rows stay as they are.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Sources, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
	for i := range r.Findings {
		r.Findings[i].fingerprint()
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.State.order(), b.State.order()), cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Fingerprint, b.Fingerprint),
		)
	})
}

// Finding is the result of one check about one subject.
type Finding struct {
	// Rule is the check's id, for example "XC-04"; Title says in a few words what it looks at.
	Rule  string `json:"rule"`
	Title string `json:"title"`
	// Severity is how bad it is where it fails.
	Severity Severity `json:"severity"`
	// State is the result.
	State State `json:"state"`
	// Subject is what it is about, for example "secret kube-system/deployer-token"; empty for the cluster as a whole.
	Subject string `json:"subject,omitempty"`
	// Message says what was seen.
	Message string `json:"message"`
	// Evidence says what it was seen in, and how good that is.
	Evidence string `json:"evidence,omitempty"`
	// Remedy says what to do.
	Remedy string `json:"remedy,omitempty"`
	// Point is the point of the hardening guide.
	Point string `json:"point,omitempty"`
	// References are other catalogues' names for the same, for example "CIS 3.1.1".
	References []string `json:"references,omitempty"`
	// Location is the file or object that it was seen in, as a path; empty for a path made of the rule.
	Location string `json:"location,omitempty"`
	// Until is when the acceptance of an Accepted finding ends.
	Until time.Time `json:"until,omitzero"`
	// Gap says that something could not be looked at: that makes a report incomplete, and is no finding for an exit code.
	Gap bool `json:"-"`
	// Fingerprint is the same in every run that finds the same. Left empty, Sort makes it of Rule and Subject.
	Fingerprint string `json:"fingerprint"`
}

// fingerprint fills the fingerprint in.
func (f *Finding) fingerprint() {
	if f.Fingerprint == "" {
		sum := sha256.Sum256([]byte(f.Rule + "\x00" + f.Subject))
		f.Fingerprint = hex.EncodeToString(sum[:16])
	}
}

// location is a path for formats that demand one.
func (f *Finding) location() string {
	if f.Location != "" {
		return strings.TrimLeft(f.Location, "/")
	}
	return "cluster/" + f.Rule
}
