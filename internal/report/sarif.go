package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

const (
	sarifVersion = "2.1.0"
	sarifSchema  = "https://json.schemastore.org/sarif-2.1.0.json"
	// maxSARIFResults is how many results a run may have before those of one rule are written as one. GitHub shows 5,000
	// of a run and refuses more than 25,000.
	maxSARIFResults = 5000
	// maxSARIFSubjects is how many subjects a result that stands for many names.
	maxSARIFSubjects = 20
	informationURI   = "https://github.com/ostiary/ostiary"
)

// The parts of SARIF 2.1.0 that a report uses; section numbers are those of the OASIS standard.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	// sarifRun is section 3.14.
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
		ColumnKind  string            `json:"columnKind"`
	}
	// sarifDriver is section 3.19. Some readers refuse a run without a name.
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	// sarifRule is section 3.49.
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		Help             sarifMessage `json:"help"`
		Configuration    struct {
			Level string `json:"level"`
		} `json:"defaultConfiguration"`
		Properties sarifRuleProperties `json:"properties"`
	}
	sarifRuleProperties struct {
		// Severity is what GitHub sorts by: a number as text.
		Severity string   `json:"security-severity"`
		Tags     []string `json:"tags"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	// sarifInvocation is section 3.20. What could not be read is a notification in it.
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		EndTime       string              `json:"endTimeUtc,omitempty"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string       `json:"level"`
		Message sarifMessage `json:"message"`
	}
	// sarifResult is section 3.27.
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
)

// writeSARIF writes findings for code scanning.
func (r *Report) writeSARIF(out io.Writer) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: r.Tool, Version: r.Version, InformationURI: informationURI, Rules: []sarifRule{}}
	invocation := sarifInvocation{Successful: r.Complete(), EndTime: day(r.Generated), Notifications: []sarifNotification{}}
	for _, source := range r.missing() {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{
			Level: "error", Message: sarifMessage{source.Name + " is " + source.Access.String() + ": " + source.Why},
		})
	}
	run.Invocations = []sarifInvocation{invocation}

	index := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if _, known := index[f.Rule]; !known {
			index[f.Rule] = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, f.sarifRule())
		}
	}
	if len(r.Findings) > maxSARIFResults {
		run.Results = r.groupedSARIF(index)
	} else {
		for i := range r.Findings {
			run.Results = append(run.Results, r.Findings[i].sarifResult(index))
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{run}})
}

// groupedSARIF writes one result for each rule and state.
func (r *Report) groupedSARIF(index map[string]int) []sarifResult {
	type group struct {
		first    *Finding
		subjects []string
		count    int
	}
	var order []string
	groups := map[string]*group{}
	for i := range r.Findings {
		f := &r.Findings[i]
		key := f.Rule + "\x00" + f.State.String()
		g, known := groups[key]
		if !known {
			g = &group{first: f}
			groups[key], order = g, append(order, key)
		}
		if g.count++; len(g.subjects) < maxSARIFSubjects {
			g.subjects = append(g.subjects, f.Subject)
		}
	}
	results := make([]sarifResult, 0, len(order))
	for _, key := range order {
		g := groups[key]
		one := *g.first
		one.Fingerprint = ""
		if one.Subject = ""; g.count > 1 {
			one.Message = fmt.Sprintf("%s: %s (%s)", one.Title, plural(g.count, "subject"), strings.Join(g.subjects, ", "))
			if g.count > len(g.subjects) {
				one.Message += fmt.Sprintf(", and %d more: see the JSON form", g.count-len(g.subjects))
			}
		}
		one.fingerprint()
		results = append(results, one.sarifResult(index))
	}
	return results
}

func (f *Finding) sarifRule() sarifRule {
	rule := sarifRule{ID: f.Rule, ShortDescription: sarifMessage{orElse(f.Title, f.Rule)}, Help: sarifMessage{orElse(f.Remedy, f.Title, f.Rule)}}
	rule.Configuration.Level = f.Severity.sarifLevel()
	rule.Properties = sarifRuleProperties{Severity: f.Severity.sarifNumber(), Tags: []string{"security"}}
	if f.Point != "" {
		rule.Properties.Tags = append(rule.Properties.Tags, f.Point)
	}
	rule.Properties.Tags = append(rule.Properties.Tags, f.References...)
	return rule
}

func (f *Finding) sarifResult(index map[string]int) sarifResult {
	result := sarifResult{
		RuleID: f.Rule, RuleIndex: index[f.Rule], Kind: f.State.sarifKind(), Level: "none",
		Message: sarifMessage{orElse(f.Message, f.Title, f.Rule)}, Fingerprints: map[string]string{"ostiary/v1": f.Fingerprint},
	}
	if f.State.isBad() {
		result.Level = f.Severity.sarifLevel() // section 3.27.10: every kind but "fail" has the level "none"
	}
	if f.Subject != "" {
		result.Message.Text = f.Subject + ": " + result.Message.Text
	}
	var location sarifLocation
	location.Physical.Artifact.URI = uri(f.location())
	location.Physical.Region.StartLine = 1
	result.Locations = []sarifLocation{location}
	return result
}

// uri escapes what a relative reference may not hold (RFC 3986 section 3.3).
func uri(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/@", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// orElse is the first text that is not empty.
func orElse(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (s Severity) sarifLevel() string {
	switch s {
	case Critical, High:
		return "error"
	case Medium:
		return "warning"
	default:
		return "note"
	}
}

// sarifNumber is in the middle of GitHub's bands: above 9 critical, 7 high, 4 medium.
func (s Severity) sarifNumber() string {
	switch s {
	case Critical:
		return "9.5"
	case High:
		return "8.0"
	case Medium:
		return "5.5"
	case Low:
		return "2.0"
	default:
		return "0.1"
	}
}

func (s State) sarifKind() string {
	switch s {
	case Pass:
		return "pass"
	case Fail, Warn:
		return "fail"
	case NotApplicable:
		return "notApplicable"
	case Accepted:
		return "informational"
	default:
		return "open" // section 3.27.9: evaluated, without enough to decide
	}
}
