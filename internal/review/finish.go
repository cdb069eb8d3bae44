package review

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ostiary/ostiary/internal/inventory"
	"github.com/ostiary/ostiary/internal/report"
)

// FinishedKind is the kind of the report that ends a review.
const FinishedKind = "AccessReviewResult"

// Outcome is what became of a line.
type Outcome struct {
	Item     Item      `json:"item"`
	Decision *Decision `json:"decision,omitempty"`
	// Now says how the line is: "gone", "revoked", "expired", "invalidated", or the state in which it works.
	Now string `json:"now"`
	// Proven says that what was decided is so.
	Proven bool `json:"proven"`
}

// Details is the part of the JSON report that is the review's own.
type Details struct {
	Hash          string    `json:"hash"`
	DecisionsHash string    `json:"decisionsHash"`
	Frozen        time.Time `json:"frozen"`
	Outcomes      []Outcome `json:"outcomes"`
	// Since are lines that were not there when the population was frozen; nobody reviewed them.
	Since []string `json:"since"`
}

// ErrOlder says that facts were read before a decision was made. Match it with errors.Is.
var ErrOlder = errors.New("the facts are older than the decisions, and prove nothing about them: gather them anew")

// ErrElsewhere says that facts are of another cluster, where nothing of a population is. Match it with errors.Is.
var ErrElsewhere = errors.New("the facts are of another server, and prove nothing about the population: gather them from the same")

// Finish compares the decisions with how things are now, and reports what was decided and is not so.
func (r *Review) Finish(inv *inventory.Inventory, tool string, within time.Duration) (*report.Report, error) {
	if inv.Target != r.Target {
		return nil, fmt.Errorf("%w (they are of %s, the population of %s)", ErrElsewhere, inv.Target, r.Target)
	}
	for i := range r.Decisions {
		if inv.At.Before(r.Decisions[i].At) {
			return nil, fmt.Errorf("%w (they are of %s, the decision about %s of %s)", ErrOlder, inv.At.Format(time.RFC3339), r.Decisions[i].ID, r.Decisions[i].At.Format(time.RFC3339))
		}
	}
	now := map[string]*inventory.Credential{}
	for _, c := range inv.Credentials {
		now[c.ID] = c
	}
	decisions := map[string]*Decision{}
	for i := range r.Decisions {
		decisions[r.Decisions[i].ID] = &r.Decisions[i]
	}
	result := &report.Report{
		Kind: FinishedKind, Title: "Access review " + r.Hash[:12] + ", finished", Tool: "kubectl-ostiary", Version: tool, Target: inv.Target, Generated: inv.At, Sources: r.demanded(inv.Sources()),
	}
	for _, name := range []string{"ID", "USER", "POWER", "DECISION", "REVIEWER", "NOW", "PROVEN", "REASON"} {
		result.Table.Columns = append(result.Table.Columns, report.Column{Name: name})
	}
	details := Details{Hash: r.Hash, DecisionsHash: r.DecisionsHash, Frozen: r.Frozen, Outcomes: []Outcome{}, Since: []string{}}
	complete := (&report.Report{Sources: result.Sources}).Complete()
	known, proven := map[string]bool{}, 0
	for i := range r.Population {
		item := &r.Population[i]
		known[item.ID] = true
		outcome := Outcome{Item: *item, Decision: decisions[item.ID], Now: stateNow(now[item.ID], complete)}
		outcome.Proven = outcome.isProven()
		if outcome.Proven {
			proven++
		}
		details.Outcomes = append(details.Outcomes, outcome)
		result.Table.Rows = append(result.Table.Rows, outcome.row())
		if finding, bad := outcome.finding(inv.At, within); bad {
			result.Findings = append(result.Findings, finding)
		}
	}
	for _, c := range inv.Credentials {
		if !known[c.ID] && c.State.Works() {
			details.Since = append(details.Since, c.ID)
			result.Findings = append(result.Findings, report.Finding{
				Rule: "RV-03", Title: "everything that works was reviewed", Severity: report.Low, State: report.Warn, Subject: c.ID,
				Message: "it works for " + c.Username + ", and was not there when the population was frozen", Remedy: "take it into the next review",
			})
		}
	}
	result.Summary = []report.Figure{
		{Name: "population", Value: fmt.Sprint(len(r.Population)) + " lines, frozen " + r.Frozen.Format(time.RFC3339)},
		{Name: "hash of the population", Value: r.Hash},
		{Name: "hash of the decisions", Value: r.DecisionsHash},
		{Name: "decided", Value: fmt.Sprint(len(r.Decisions))},
		{Name: "proven", Value: fmt.Sprint(proven)},
		{Name: "new since", Value: fmt.Sprint(len(details.Since))},
	}
	result.Details = details
	result.Sort()
	return result, nil
}

// demanded are the sources with none optional that the population was read from: what it holds cannot be shown to be gone.
func (r *Review) demanded(all []report.Source) []report.Source {
	for i := range all {
		source := &all[i]
		if source.Optional && slices.ContainsFunc(r.Sources, func(s report.Source) bool { return s.Name == source.Name && s.Access == report.Read }) {
			source.Optional, source.Why = false, "it was read when the population was frozen: "+source.Why
		}
	}
	return all
}

// gone is said of a line that no source has any more.
const gone = "gone"

// stateNow is how a line is now. One that is not listed is gone only where every source was read.
func stateNow(c *inventory.Credential, complete bool) string {
	switch {
	case c != nil:
		return string(c.State)
	case complete:
		return gone
	default:
		return "not seen, and not every source was read"
	}
}

// isProven reports whether the decision is carried out. What was to be kept and went away meanwhile is no fault.
func (o *Outcome) isProven() bool {
	switch {
	case o.Decision == nil:
		return false
	case o.Decision.Verdict == Keep:
		return true
	default:
		return o.Now == gone || !inventory.State(o.Now).Works()
	}
}

func (o *Outcome) row() report.Row {
	verdict, reviewer, reason, proven := "", "", "", "no"
	if o.Decision != nil {
		verdict, reviewer, reason = string(o.Decision.Verdict), o.Decision.Reviewer, o.Decision.Reason
	}
	if o.Proven {
		proven = "yes"
	}
	return report.Row{Key: o.Item.ID, Cells: []string{o.Item.ID, o.Item.Username, o.Item.Power, verdict, reviewer, o.Now, proven, reason}}
}

// finding says what is not as it was decided.
func (o *Outcome) finding(at time.Time, within time.Duration) (report.Finding, bool) {
	switch {
	case o.Decision == nil:
		return report.Finding{
			Rule: "RV-02", Title: "every line was decided", Severity: report.High, State: report.Fail, Subject: o.Item.ID,
			Message: "nobody decided about it", Remedy: "kubectl ostiary review decide",
		}, true
	case o.Proven:
		return report.Finding{}, false
	}
	f := report.Finding{
		Rule: "RV-01", Title: "what was decided to be revoked does not work", Severity: report.High, State: report.Fail, Subject: o.Item.ID,
		Message: fmt.Sprintf("%s decided %s that it goes, and it is %s", o.Decision.Reviewer, o.Decision.At.Format(time.RFC3339), o.Now),
		Remedy:  "delete it at its source, or kubectl ostiary revoke --id " + o.Item.ID,
	}
	if o.Item.Privileged {
		f.Severity = report.Critical
	}
	if at.Sub(o.Decision.At) < within {
		f.State, f.Severity = report.Warn, report.Medium
		f.Message += "; there is time until " + o.Decision.At.Add(within).Format(time.RFC3339)
	}
	return f, true
}
