package review

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/report"
)

// The columns of the sheet that reviewers fill in.
const (
	columnID       = "ID"
	columnReviewer = "REVIEWER"
	columnDecision = "DECISION"
	columnReason   = "REASON"
	columnTicket   = "TICKET"
)

// Sheet is the population as a table for reviewers, with empty columns for what they decide.
func (r *Review) Sheet() *report.Report {
	sheet := &report.Report{
		Kind: Kind, Title: "Access review " + r.Hash[:12], Tool: "kubectl-ostiary", Version: r.Tool, Target: r.Target, Generated: r.Frozen, Sources: r.Sources,
	}
	for _, name := range []string{
		columnID, "MECHANISM", "USER", "OWNER", "POWER", "PRIVILEGED", "WHY", "STATE", "LAST USED", "EXPIRES", "ISSUED BY",
		columnReviewer, columnDecision, columnReason, columnTicket,
	} {
		sheet.Table.Columns = append(sheet.Table.Columns, report.Column{Name: name})
	}
	for i := range r.Population {
		item := &r.Population[i]
		privileged := "no"
		if item.Privileged {
			privileged = "yes"
		}
		sheet.Table.Rows = append(sheet.Table.Rows, report.Row{Key: item.ID, Cells: []string{
			item.ID, item.Mechanism, item.Username, item.Owner, item.Power, privileged, item.Why, item.State, dayOf(item.LastUsed), dayOf(item.Expires), item.IssuedBy,
			"", "", "", "",
		}})
	}
	return sheet
}

func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// ErrSheet says that a file is no sheet of decisions. Match it with errors.Is.
var ErrSheet = errors.New("this is no sheet of review start, filled in")

// Decide takes the decisions of a sheet, or says with ErrSheet that it is none. Each line must be of the population; every line needs a verdict, unless partial is
// given, and none may be decided by the person whom it lets in or who issued it. What is wrong is told all at once.
func (r *Review) Decide(sheet io.Reader, at time.Time, partial bool) error {
	reader := csv.NewReader(sheet)
	lines, err := reader.ReadAll()
	if err != nil {
		return fmt.Errorf("%w: it is no CSV: %w", ErrSheet, err)
	}
	if len(lines) == 0 {
		return fmt.Errorf("%w: it is empty", ErrSheet)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[strings.ToUpper(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	for _, name := range []string{columnID, columnReviewer, columnDecision, columnReason} {
		if _, ok := column[name]; !ok {
			return fmt.Errorf("%w: it has no column %s", ErrSheet, name)
		}
	}
	items := map[string]*Item{}
	for i := range r.Population {
		items[r.Population[i].ID] = &r.Population[i]
	}
	var wrong []error
	decided := map[string]bool{}
	for _, old := range r.Decisions {
		decided[old.ID] = true
	}
	for number, cells := range lines[1:] {
		cell := func(name string) string {
			if i, ok := column[name]; ok && i < len(cells) {
				return strings.TrimSpace(strings.TrimPrefix(cells[i], "'")) // the apostrophe that disarms a formula
			}
			return ""
		}
		one := Decision{
			ID: cell(columnID), Verdict: Verdict(strings.ToLower(cell(columnDecision))), Reason: cell(columnReason), Reviewer: cell(columnReviewer), Ticket: cell(columnTicket), At: at.UTC().Truncate(time.Second), // to the second, as facts are
		}
		if one.Verdict == "" || strings.HasPrefix(one.ID, "UNREAD SOURCE") {
			continue
		}
		if err := check(&one, items[one.ID], decided); err != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %w", number+2, err)) //nolint:mnd // the heading, and from one
			continue
		}
		decided[one.ID] = true
		r.Decisions = append(r.Decisions, one)
	}
	if open := r.open(decided); len(open) > 0 && !partial {
		wrong = append(wrong, fmt.Errorf("%d lines have no decision, the first is %s", len(open), open[0]))
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	slices.SortFunc(r.Decisions, func(a, b Decision) int { return strings.Compare(a.ID, b.ID) })
	r.DecisionsHash, err = r.decisionsHash()
	return err
}

// open are the lines without a decision.
func (r *Review) open(decided map[string]bool) []string {
	var open []string
	for i := range r.Population {
		if !decided[r.Population[i].ID] {
			open = append(open, r.Population[i].ID)
		}
	}
	return open
}

// check holds one decision to the rules.
func check(d *Decision, item *Item, decided map[string]bool) error {
	switch {
	case item == nil:
		return fmt.Errorf("%q is not in the population", d.ID)
	case decided[d.ID]:
		return fmt.Errorf("%s is decided twice", d.ID)
	case d.Verdict != Keep && d.Verdict != Revoke:
		return fmt.Errorf("%s: decision %q: want keep or revoke", d.ID, d.Verdict)
	case d.Reviewer == "":
		return fmt.Errorf("%s: nobody answers for it: fill in %s", d.ID, columnReviewer)
	case strings.EqualFold(d.Reviewer, item.Username), strings.EqualFold(d.Reviewer, item.Owner): // people write their names as they like
		return fmt.Errorf("%s: %s decides about their own access", d.ID, d.Reviewer)
	case strings.EqualFold(d.Reviewer, item.IssuedBy):
		return fmt.Errorf("%s: %s issued it, and may not review it", d.ID, d.Reviewer)
	case d.Reason == "" && (d.Verdict == Revoke || item.Privileged):
		return fmt.Errorf("%s: a reason is needed to revoke, and to keep what amounts to the whole cluster", d.ID)
	}
	return nil
}

// ToRevoke are the decisions to revoke that no gate has carried out yet, with their lines.
func (r *Review) ToRevoke() []*Decision {
	var all []*Decision
	for i := range r.Decisions {
		if d := &r.Decisions[i]; d.Verdict == Revoke && d.Revocation == "" {
			all = append(all, d)
		}
	}
	return all
}

// Item is the line of an id; nil where there is none.
func (r *Review) Item(id string) *Item {
	i := slices.IndexFunc(r.Population, func(item Item) bool { return item.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Population[i]
}

// Seal writes the hash of the decisions anew, after what was done about them was noted.
func (r *Review) Seal() (err error) {
	r.DecisionsHash, err = r.decisionsHash()
	return err
}
