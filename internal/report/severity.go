package report

import (
	"fmt"
	"strings"
)

// Severity is how bad a finding is. The zero value is none, which only a finding without one may have.
type Severity int

// The severities, from harmless to "takes the cluster or lets anyone in".
const (
	Info Severity = iota + 1
	Low
	Medium
	High
	Critical
)

// severities are all, in rising order.
func severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// String is the word in all formats.
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Low:
		return "low"
	case Medium:
		return "medium"
	case High:
		return "high"
	case Critical:
		return "critical"
	default:
		return "none"
	}
}

// Set implements pflag.Value.
func (s *Severity) Set(text string) error { return s.UnmarshalText([]byte(text)) }

// Type implements pflag.Value.
func (*Severity) Type() string { return "severity" }

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It knows the words of String for severities that exist.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, severity := range severities() {
		if severity.String() == string(text) {
			*s = severity
			return nil
		}
	}
	return fmt.Errorf("%q is no severity: want info, low, medium, high or critical", text)
}

// State is the result of a check. The zero value is Unknown.
type State string

const (
	// Unknown says that there is no evidence. It never counts as Pass.
	Unknown State = ""
	// Pass says that the evidence shows that all is well.
	Pass State = "pass"
	// Warn says that it could be better.
	Warn State = "warn"
	// Fail says that it is not well.
	Fail State = "fail"
	// NotApplicable says that what the check is about is off, and that this was proved.
	NotApplicable State = "notApplicable"
	// Accepted says that somebody answers for it until a date.
	Accepted State = "accepted"
)

// String is the word in all formats.
func (s State) String() string {
	if s == Unknown {
		return "unknown"
	}
	return string(s)
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A word that is not known is Unknown.
func (s *State) UnmarshalText(text []byte) error {
	switch state := State(strings.TrimSpace(string(text))); state {
	case Pass, Warn, Fail, NotApplicable, Accepted:
		*s = state
	default:
		*s = Unknown
	}
	return nil
}

// isBad reports whether there is something to do.
func (s State) isBad() bool { return s == Fail || s == Warn }

// order puts what there is to do first.
func (s State) order() int {
	switch s {
	case Fail:
		return 0
	case Warn:
		return 1
	case Accepted:
		return 3
	case Pass:
		return 4
	case NotApplicable:
		return 5
	default: // Unknown, and what is not known yet
		return 2
	}
}
