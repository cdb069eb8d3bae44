package hardening

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/report"
)

// Waivers are findings that somebody answers for. The zero value accepts nothing.
type Waivers struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Waivers    []Waiver `json:"waivers"`
}

// The head of a file of waivers.
const (
	WaiversAPIVersion = "ostiary.dev/v1alpha1"
	WaiversKind       = "Waivers"
)

// Waiver accepts the findings of one check, about one subject or some.
type Waiver struct {
	Check string `json:"check"`
	// Subject is the finding's; "*" stands for any part of a name without "/". Empty accepts all of the check.
	Subject string `json:"subject,omitempty"`
	Owner   string `json:"owner"`
	Reason  string `json:"reason"`
	// Until is the last day on which it counts, for example "2026-12-31" (UTC).
	Until string `json:"until"`

	end time.Time
}

// ReadWaivers reads a file. Whatever is not understood is an error: a waiver that is misread hides a finding.
func ReadWaivers(data []byte) (*Waivers, error) {
	var read Waivers
	if err := yaml.UnmarshalStrict(data, &read); err != nil {
		return nil, fmt.Errorf("the waivers cannot be read: %w", err)
	}
	if read.APIVersion != WaiversAPIVersion || read.Kind != WaiversKind {
		return nil, fmt.Errorf("the file is %q of %q, not %s of %s", read.Kind, read.APIVersion, WaiversKind, WaiversAPIVersion)
	}
	known := map[string]bool{}
	for _, check := range All() {
		known[check.ID] = true
	}
	var problems []error
	for i := range read.Waivers {
		w := &read.Waivers[i]
		at := fmt.Sprintf("waivers[%d]", i)
		if !known[w.Check] {
			problems = append(problems, fmt.Errorf("%s.check: there is no check %q", at, w.Check))
		}
		if strings.TrimSpace(w.Owner) == "" {
			problems = append(problems, fmt.Errorf("%s.owner: say who answers for it", at))
		}
		if strings.TrimSpace(w.Reason) == "" {
			problems = append(problems, fmt.Errorf("%s.reason: say why it is accepted", at))
		}
		if _, err := path.Match(w.Subject, ""); err != nil {
			problems = append(problems, fmt.Errorf("%s.subject: %q is no pattern", at, w.Subject))
		}
		end, err := time.Parse(time.DateOnly, w.Until)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s.until: %q is no day, such as 2026-12-31; nothing is accepted for ever", at, w.Until))
		}
		w.end = end.AddDate(0, 0, 1) // the whole day counts
	}
	return &read, errors.Join(problems...)
}

// Accept marks the findings that a waiver accepts at the time now. An expired one accepts nothing, and says so.
func (w *Waivers) Accept(findings []report.Finding, now time.Time) {
	for i := range findings {
		found := &findings[i]
		if found.State != report.Fail && found.State != report.Warn {
			continue
		}
		for j := range w.Waivers {
			waiver := &w.Waivers[j]
			if !waiver.covers(found) {
				continue
			}
			if !now.Before(waiver.end) {
				found.Message += fmt.Sprintf(" (%s accepted this until %s, which is over)", waiver.Owner, waiver.Until)
				continue
			}
			found.State, found.Until = report.Accepted, waiver.end
			found.Message += fmt.Sprintf(" (accepted by %s until %s: %s)", waiver.Owner, waiver.Until, waiver.Reason)
			break
		}
	}
}

func (w *Waiver) covers(found *report.Finding) bool {
	if w.Check != found.Rule {
		return false
	}
	if w.Subject == "" || w.Subject == found.Subject {
		return true
	}
	matched, err := path.Match(w.Subject, found.Subject)
	return err == nil && matched
}
