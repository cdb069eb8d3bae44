package inventory

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/power"
	"github.com/ostiary/ostiary/internal/report"
)

// ReportKind is the kind of an inventory's report.
const ReportKind = "CredentialInventory"

// Details is the part of the JSON report that is the inventory's own: it has the list "credentials" of a Line each, besides.
type Details struct {
	Credentials []Line      `json:"-"`
	Unmatched   []Unmatched `json:"unmatchedSubjects"`
	Dangling    []string    `json:"danglingBindings"`
	// Power says why powers are lower bounds; empty where RBAC alone decides.
	Power string `json:"powerIsALowerBound,omitempty"`
}

// Head implements report.Listed.
func (d Details) Head() any { return d }

// List implements report.Listed.
func (d Details) List() (string, iter.Seq[any]) {
	return "credentials", func(yield func(any) bool) {
		for i := range d.Credentials {
			if !yield(&d.Credentials[i]) {
				return
			}
		}
	}
}

// Keys gives the ids in the details of an earlier report.
func Keys(details []byte) ([]string, error) {
	var read struct {
		Credentials []struct {
			ID string `json:"id"`
		} `json:"credentials"`
	}
	if err := json.Unmarshal(details, &read); err != nil {
		return nil, err
	}
	ids := make([]string, len(read.Credentials))
	for i := range read.Credentials {
		ids[i] = read.Credentials[i].ID
	}
	return ids, nil
}

// Report is an answer as a report in a format. With an earlier one, only what is new is in it.
func (inv *Inventory) Report(answer *Answer, format report.Format, version string, earlier *report.Earlier) (*report.Report, error) {
	lines := answer.Lines
	if earlier != nil {
		lines = slices.DeleteFunc(slices.Clone(lines), func(line Line) bool { return earlier.Knew(line.ID) })
	}
	result := &report.Report{
		Kind: ReportKind, Title: answer.Title, Tool: "kubectl-ostiary", Version: version, Target: inv.Target, Generated: inv.At,
		Sources: inv.Sources(), Findings: answer.Findings, Picture: picture(lines),
		Details: Details{Credentials: lines, Unmatched: filled(inv.Unmatched), Dangling: filled(inv.Dangling), Power: inv.Lower},
	}
	result.Summary = append(inv.summary(lines), answer.Figures...)
	if format != report.FormatJSON { // which has the lines in its details
		result.Table = table(lines)
	}
	result.Sort()
	if earlier != nil {
		if err := result.OnlyNew(earlier); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// summary counts what matters most.
func (inv *Inventory) summary(lines []Line) []report.Figure {
	whole, endless, unused := 0, 0, 0
	for _, line := range lines {
		if line.Power.Level.IsWholeCluster() {
			whole++
		}
		if line.Endless && line.Kind == KindCredential {
			endless++
		}
		if line.State == Dormant {
			unused++
		}
	}
	figures := []report.Figure{
		{Name: "listed", Value: fmt.Sprint(len(lines))},
		{Name: "amount to the whole cluster", Value: fmt.Sprint(whole)},
		{Name: "never end by themselves", Value: fmt.Sprint(endless)},
		{Name: "dormant", Value: fmt.Sprint(unused)},
		{Name: "bound names that nobody is known to have", Value: fmt.Sprint(len(inv.Unmatched))},
	}
	if inv.policy == nil {
		figures = append(figures, report.Figure{Name: "power", Value: "unknown: not all of RBAC could be read"})
	} else if inv.Lower != "" {
		figures = append(figures, report.Figure{Name: "power", Value: "a lower bound: " + inv.Lower})
	}
	return append(figures, report.Figure{
		Name: "nobody can list", Value: "credentials made with a CA's or signing key and not used yet; people who may sign in and never did",
	})
}

// table has a line for each credential.
func table(lines []Line) report.Table {
	result := report.Table{Columns: []report.Column{
		{Name: "ID"},
		{Name: "MECHANISM"},
		{Name: "USER"},
		{Name: "POWER"},
		{Name: "STATE"},
		{Name: "EXPIRES"},
		{Name: "LAST USED"},
		{Name: "WHY"},
		{Name: "OWNER", Detail: true},
		{Name: "GROUPS", Detail: true},
		{Name: "ISSUER", Detail: true},
		{Name: "ISSUED", Detail: true},
		{Name: "ISSUED BY", Detail: true},
		{Name: "FIRST SEEN", Detail: true},
		{Name: "USES", Detail: true},
		{Name: "FROM", Detail: true},
		{Name: "STORED", Detail: true},
		{Name: "READERS", Detail: true},
		{Name: "NAMESPACES", Detail: true},
		{Name: "CONFIDENCE", Detail: true},
		{Name: "SOURCES", Detail: true},
		{Name: "WINDOW", Detail: true},
		{Name: "NOTE", Detail: true},
	}}
	related := slices.ContainsFunc(lines, func(line Line) bool { return line.Relation != "" })
	if related {
		result.Columns = append([]report.Column{{Name: "RELATION"}}, result.Columns...)
	}
	for _, line := range lines {
		c := line.Credential
		cells := []string{
			c.ID, c.MechanismText(), c.Username, c.Power.Level.String(), string(c.State), endText(c), lastText(c), why(c.Power),
			c.Owner, strings.Join(c.Groups, "; "), c.Issuer, timeText(c.Issued), madeText(c), timeText(c.FirstSeen), fmt.Sprint(c.Uses),
			strings.Join(c.From, "; "), strings.Join(c.Stored, "; "), readersText(c), namespacesText(c.Power), string(c.Confidence),
			strings.Join(c.Sources, "; "), windowText(c.Window), c.Note,
		}
		if related {
			cells = append([]string{line.Relation}, cells...)
		}
		result.Rows = append(result.Rows, report.Row{Key: c.ID, Cells: cells})
	}
	return result
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func endText(c *Credential) string {
	if c.Endless {
		return "never"
	}
	return orElse(timeText(c.Expires), "unknown")
}

func lastText(c *Credential) string {
	switch {
	case c.LastUsed.IsZero() && c.Window == Window{}:
		return "unknown"
	case c.LastUsed.IsZero():
		return "not since " + timeText(c.Window.From)
	case c.ByDay:
		return c.LastUsed.UTC().Format(time.DateOnly)
	default:
		return timeText(c.LastUsed)
	}
}

func madeText(c *Credential) string {
	text := c.IssuedBy
	if c.ApprovedBy != "" && c.ApprovedBy != c.IssuedBy {
		text = strings.TrimPrefix(text+", approved by "+c.ApprovedBy, ", ")
	}
	if len(c.Chain) > 1 {
		text += " < " + strings.Join(c.Chain[1:], " < ")
	}
	return text
}

func readersText(c *Credential) string {
	text := strings.Join(c.Readers, "; ")
	if more := c.ReadersCount - len(c.Readers); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func namespacesText(p power.Power) string {
	if p.AllNamespaces {
		return "(cluster)"
	}
	return strings.Join(p.Namespaces[:min(len(p.Namespaces), maxListed)], "; ")
}

func windowText(w Window) string {
	if w == (Window{}) {
		return ""
	}
	return timeText(w.From) + " to " + timeText(w.Until)
}

func why(p power.Power) string {
	if len(p.Reasons) == 0 {
		return ""
	}
	return p.Reasons[0].String()
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// picture shows by which mechanism how many get in, to what power.
func picture(lines []Line) *report.Picture {
	p := &report.Picture{
		Title:   "From mechanisms, over what was seen of their credentials, to the power that they have",
		Columns: []string{"By which mechanism", "State", "With what power"},
	}
	counts, links := map[string]int{}, map[[2]string]int{}
	for _, line := range lines {
		m, s, l := "m "+line.MechanismText(), "s "+string(line.State), "l "+line.Power.Level.String()
		counts[m]++
		counts[s]++
		counts[l]++
		links[[2]string{m, s}]++
		links[[2]string{s, l}]++
	}
	node := func(id, label string, column int, tone report.Tone) {
		if n := counts[id]; n > 0 || tone == report.Faint {
			p.Nodes = append(p.Nodes, report.Node{ID: id, Label: label, Note: countText(n), Column: column, Tone: tone})
		}
	}
	known := map[string]bool{}
	for _, mechanism := range identity.Mechanisms() {
		id, tone := "m "+string(mechanism), report.Plain
		if counts[id] == 0 {
			tone = report.Faint
		}
		known[id] = true
		node(id, mechanismLabel(mechanism), 0, tone)
	}
	var others []string
	for id := range counts {
		if strings.HasPrefix(id, "m ") && !known[id] {
			others = append(others, id)
		}
	}
	slices.Sort(others)
	for _, id := range others {
		node(id, strings.TrimPrefix(id, "m "), 0, report.Notice)
	}
	for _, state := range []State{Active, Unseen, Dormant, Orphan, Unrecorded, Leaver, Invalidated, Expired, Revoked} {
		node("s "+string(state), string(state), 1, stateTone(state))
	}
	for level := power.Masters; level >= power.Unjudged; level-- {
		node("l "+level.String(), level.String(), 2, levelTone(level)) //nolint:mnd // the third column
	}
	for pair, count := range links {
		tone := report.Plain
		if level, ok := strings.CutPrefix(pair[1], "l "); ok && (level == "masters" || level == "cluster-admin" || level == "equivalent") {
			tone = report.Alarm
		}
		p.Links = append(p.Links, report.Link{From: pair[0], To: pair[1], Count: count, Tone: tone})
	}
	slices.SortFunc(p.Links, func(a, b report.Link) int { return strings.Compare(a.From+"\x00"+a.To, b.From+"\x00"+b.To) })
	return p
}

func countText(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprint(n) + " lines"
}

func mechanismLabel(m identity.Mechanism) string {
	switch m {
	case identity.ProxyHeader:
		return "Authenticating proxies"
	case identity.ClientCertificate:
		return "Client certificates"
	case identity.StaticToken:
		return "Static tokens"
	case identity.ServiceAccount:
		return "ServiceAccount Secrets"
	case identity.TokenRequest:
		return "Requested tokens"
	case identity.BootstrapToken:
		return "Bootstrap tokens"
	case identity.JWT:
		return "OpenID Connect"
	case identity.Webhook:
		return "Webhook"
	case identity.AnonymousAccess:
		return "Anonymous"
	default:
		return string(m)
	}
}

func stateTone(s State) report.Tone {
	switch s {
	case Active:
		return report.Good
	case Unrecorded, Leaver:
		return report.Alarm
	case Dormant, Orphan:
		return report.Notice
	default:
		return report.Plain
	}
}

func levelTone(l power.Level) report.Tone {
	switch {
	case l.IsWholeCluster():
		return report.Alarm
	case l >= power.Namespace, l == power.Unjudged:
		return report.Notice
	default:
		return report.Plain
	}
}
