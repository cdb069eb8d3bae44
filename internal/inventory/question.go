package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/report"
)

// Question is what somebody wants to know. The zero value asks for everything that may let somebody in.
type Question struct {
	// Who asks for what works of one person: a user name, or a name on the roster.
	Who string
	// SameIdentity asks which identities can be had by several mechanisms.
	SameIdentity bool
	// Unrecorded asks what was used that nobody is known to have issued.
	Unrecorded bool
	// BlastRadius asks who is cut off when a CA is exchanged ("ca", or "ca=" and its name), an account is deleted
	// ("account=namespace/name") or an issuer is believed no more ("issuer=" and its URL).
	BlastRadius string
	// All asks for what does not work any more, too.
	All bool
}

// Answer is the lines that a question is about.
type Answer struct {
	Title string
	Lines []Line
	// Findings are what the question itself finds wrong.
	Findings []report.Finding
	// Figures are words above the lines.
	Figures []report.Figure
}

// Line is a credential, and what it has to do with the question.
type Line struct {
	*Credential

	// Relation is empty where the question is about all.
	Relation string `json:"relation,omitempty"`
}

// ErrUnknown says that a question names what the inventory does not have. Match it with errors.Is.
var ErrUnknown = errors.New("nothing is known of it")

// Ask answers a question. Several at once are an error.
func (inv *Inventory) Ask(q *Question) (*Answer, error) {
	asked := 0
	for _, one := range []bool{q.Who != "", q.SameIdentity, q.Unrecorded, q.BlastRadius != ""} {
		if one {
			asked++
		}
	}
	if asked > 1 {
		return nil, errors.New("--who, --same-identity, --unrecorded and --blast-radius are different questions; ask one at a time")
	}
	switch {
	case q.Who != "":
		return inv.who(q.Who, q.All), nil
	case q.SameIdentity:
		return inv.sameIdentity(), nil
	case q.Unrecorded:
		return inv.unrecorded(), nil
	case q.BlastRadius != "":
		return inv.blastRadius(q.BlastRadius)
	default:
		return inv.all(q.All), nil
	}
}

// all lists what may let somebody in.
func (inv *Inventory) all(past bool) *Answer {
	answer := &Answer{Title: "Who can get in"}
	hidden := 0
	for _, c := range inv.Credentials {
		if !past && !c.State.Works() {
			hidden++
			continue
		}
		answer.Lines = append(answer.Lines, Line{Credential: c})
	}
	if hidden > 0 {
		answer.Figures = append(answer.Figures, report.Figure{Name: "not listed, because they do not work any more", Value: fmt.Sprint(hidden) + " (--all lists them)"})
	}
	return answer
}

// Relations of a credential to a person.
const (
	relationOwn   = "own"
	relationMade  = "made by them"
	relationReads = "they can read it"
)

// who lists what works of a person: their own, what they had made for others, and what they can read, because whoever
// could read a token may have kept it.
func (inv *Inventory) who(name string, past bool) *Answer {
	answer := &Answer{Title: "What works of " + name}
	names := inv.namesOf(name)
	own := map[string]bool{}
	groups := map[string]bool{}
	for _, c := range inv.Credentials {
		if slices.Contains(names, c.Username) && (past || c.State.Works()) {
			own[c.ID] = true
			answer.Lines = append(answer.Lines, Line{c, relationOwn})
			for _, group := range c.Groups {
				groups["Group "+group] = true
			}
		}
	}
	for _, c := range inv.Credentials {
		switch {
		case own[c.ID] || !past && !c.State.Works():
		case slices.Contains(names, c.IssuedBy) || slices.ContainsFunc(c.Chain, func(step string) bool {
			by, _, _ := strings.Cut(step, " with ")
			return slices.Contains(names, by)
		}):
			answer.Lines = append(answer.Lines, Line{c, relationMade})
		case inv.canRead(c, names, groups):
			answer.Lines = append(answer.Lines, Line{c, relationReads})
		}
	}
	left := "the roster does not have them"
	for _, one := range names {
		if inv.onRoster(one) {
			if left = "on the roster"; inv.hasLeft(one) {
				left = "gone, by the roster"
			}
		}
	}
	answer.Figures = append(answer.Figures, report.Figure{Name: "user names", Value: strings.Join(names, ", ")}, report.Figure{Name: "person", Value: left})
	if strings.HasPrefix(left, "gone") {
		for _, line := range answer.Lines {
			if line.Relation == relationOwn && line.State.Works() {
				answer.Findings = append(answer.Findings, report.Finding{
					Rule: "OV-06", Title: "nothing works of people who left", Severity: report.High, State: report.Fail, Subject: line.ID,
					Message: "works for " + line.Username + ", who is gone", Evidence: strings.Join(line.Sources, ", "),
					Remedy: "kubectl ostiary revoke --user " + line.Username, Point: "G-02",
				})
			}
		}
	}
	return answer
}

// canRead reports whether a person may read a credential where it is kept. Readers of which the line holds only the first
// are looked up again.
func (inv *Inventory) canRead(c *Credential, names []string, groups map[string]bool) bool {
	if c.secret == "" || inv.policy == nil {
		return false
	}
	return slices.ContainsFunc(inv.policy.SecretReaders(c.namespace, c.secret), func(reader string) bool {
		kind, name, _ := strings.Cut(reader, " ")
		return kind == "User" && slices.Contains(names, name) || groups[reader] && reader != "Group "+identity.GroupAuthenticated
	})
}

// namesOf are all user names of a person: those that the roster has together.
func (inv *Inventory) namesOf(name string) []string {
	for i := range inv.facts.Roster {
		person := &inv.facts.Roster[i]
		if person.Name == name || slices.Contains(person.Usernames, name) {
			return person.Usernames
		}
	}
	return []string{name}
}

func (inv *Inventory) onRoster(user string) bool {
	for i := range inv.facts.Roster {
		if slices.Contains(inv.facts.Roster[i].Usernames, user) {
			return true
		}
	}
	return false
}

// sameIdentity lists user names that can be had by several mechanisms: whoever has the weaker way has the name.
func (inv *Inventory) sameIdentity() *Answer {
	answer := &Answer{Title: "Identities that can be had by several mechanisms"}
	ways := map[string][]string{}
	for _, c := range inv.Credentials {
		if c.Kind != KindIssuer && c.Kind != KindKey && c.State.Works() && c.Mechanism != "" && c.Username != "" {
			ways[c.Username] = listed(ways[c.Username], c.Mechanism)
		}
	}
	told := map[string]bool{}
	for _, c := range inv.Credentials {
		// A ServiceAccount with a Secret and requested tokens is one account as Kubernetes means it.
		mechanisms := slices.DeleteFunc(slices.Clone(ways[c.Username]), func(m string) bool {
			return m == string(identity.ServiceAccount) && slices.Contains(ways[c.Username], string(identity.TokenRequest))
		})
		if len(mechanisms) < 2 || c.Kind == KindIssuer || c.Kind == KindKey || !c.State.Works() {
			continue
		}
		answer.Lines = append(answer.Lines, Line{Credential: c, Relation: "one of " + strings.Join(ways[c.Username], ", ")})
		if told[c.Username] {
			continue
		}
		told[c.Username] = true
		severity := report.High
		if strings.HasPrefix(c.Username, identity.ReservedPrefix) {
			severity = report.Critical
		}
		answer.Findings = append(answer.Findings, report.Finding{
			Rule: "OV-03", Title: "no identity can be had by two mechanisms", Severity: severity, State: report.Fail, Subject: c.Username,
			Message: "can be had by " + strings.Join(mechanisms, " and "), Remedy: "give names of one mechanism a prefix, or retire one of the ways", Point: "G-03",
		})
	}
	return answer
}

// unrecorded lists what was used that nobody is known to have issued.
func (inv *Inventory) unrecorded() *Answer {
	answer := &Answer{Title: "Used, and nothing says who issued it"}
	for _, c := range inv.Credentials {
		if c.State != Unrecorded {
			continue
		}
		answer.Lines = append(answer.Lines, Line{Credential: c})
		finding := report.Finding{
			Rule: "XC-09", Title: "every certificate in use has a record of its issue", Severity: report.High, State: report.Fail, Subject: c.ID,
			Message: "used as " + c.Username + ": " + c.Note, Evidence: "record of use, " + windowText(c.Window), Remedy: "find its file; else take the CA's key for stolen", Point: "G-03",
		}
		if c.Mechanism == string(identity.TokenRequest) {
			finding.Rule, finding.Title, finding.Severity = "TR-08", "every token in use has a record of its issue", report.Critical
			finding.Remedy = "look for its issue in older logs; else take the signing key for stolen"
			if strings.Contains(c.Note, "before the record begins") {
				finding.Severity, finding.State = report.Low, report.Warn
			}
		}
		answer.Findings = append(answer.Findings, finding)
	}
	return answer
}

// Relations of a credential to what is taken away.
const (
	relationCut   = "cut off"
	relationLives = "made by one that is cut off; works until it ends"
)

// blastRadius lists who is cut off when something is taken away.
func (inv *Inventory) blastRadius(what string) (*Answer, error) {
	kind, name, _ := strings.Cut(what, "=")
	var cut func(*Credential) bool
	switch kind {
	case "ca":
		cut = func(c *Credential) bool {
			return c.Mechanism == string(identity.ClientCertificate) && (name == "" || c.caName == name || c.Issuer == name || c.caName == "CN="+name)
		}
	case "account":
		if !strings.Contains(name, "/") {
			return nil, errors.New("--blast-radius account: want account=namespace/name")
		}
		cut = func(c *Credential) bool { return c.account == name }
	case "issuer":
		if name == "" {
			return nil, errors.New("--blast-radius issuer: want issuer=URL")
		}
		cut = func(c *Credential) bool { return c.Issuer == name }
	default:
		return nil, fmt.Errorf("--blast-radius %q: want ca, ca=NAME, account=namespace/name or issuer=URL", what)
	}
	answer := &Answer{Title: "Who is cut off without " + what}
	gone := map[string]bool{}
	owners := map[string]bool{}
	for _, c := range inv.Credentials {
		if c.State.Works() && cut(c) {
			gone[c.ID] = true
			owners[c.Owner] = true
			answer.Lines = append(answer.Lines, Line{c, relationCut})
		}
	}
	if len(gone) == 0 {
		return nil, fmt.Errorf("--blast-radius %s: %w, or nothing works by it", what, ErrUnknown)
	}
	for _, c := range inv.Credentials {
		if !gone[c.ID] && c.State.Works() && slices.ContainsFunc(c.Chain, func(step string) bool {
			_, with, _ := strings.Cut(step, " with ")
			return gone[with]
		}) {
			answer.Lines = append(answer.Lines, Line{c, relationLives})
		}
	}
	answer.Figures = append(answer.Figures,
		report.Figure{Name: "credentials cut off", Value: fmt.Sprint(len(gone))}, report.Figure{Name: "owners cut off", Value: fmt.Sprint(len(owners))})
	return answer, nil
}
