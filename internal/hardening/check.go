package hardening

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

// Mechanism is what a check is about: one of the guide's eight, or what concerns all of them.
type Mechanism string

// The mechanisms, with the letters of their checks' ids.
const (
	Overview    Mechanism = "overview"                       // OV
	Anonymous   Mechanism = "anonymous requests"             // AN
	ClientCert  Mechanism = "X.509 client certificates"      // XC
	StaticToken Mechanism = "static token file"              // ST
	Bootstrap   Mechanism = "bootstrap tokens"               // BT
	TokenSecret Mechanism = "service account token Secrets"  // SA
	TokenReq    Mechanism = "TokenRequest tokens"            // TR
	OIDC        Mechanism = "OpenID Connect"                 // OI
	Webhook     Mechanism = "webhook token authentication"   // WH
	Proxy       Mechanism = "authenticating proxy"           // AP
	Transport   Mechanism = "TLS and the ways to the server" // TL
	Kubeconfig  Mechanism = "kubeconfig files"               // KC
)

// Check is one question to the facts.
type Check struct {
	ID    string
	Title string
	// Mechanism says what it is about.
	Mechanism Mechanism
	// Severity is how bad it is where it fails.
	Severity report.Severity
	// Points are those of the hardening guide, for example "G-17".
	Points []string
	// Evidence are the levels that it can be judged by, the best first.
	Evidence []facts.Evidence
	// Remedy says what to do, with the flag, field or command.
	Remedy string
	// References are other catalogues' names for it, for example "CIS 1.2.1".
	References []string

	judge func(*input, *verdict)
}

// verdict takes what one check says. The zero value says nothing, which is unknown.
type verdict struct {
	check    *Check
	findings []report.Finding
	missing  []string
	// good is why it passes, off why it does not apply; the latter counts first where offFirst is set.
	good, off *report.Finding
	offFirst  bool
}

func (v *verdict) add(state report.State, severity report.Severity, subject string, evidence facts.Evidence, format string, values []any) {
	v.findings = append(v.findings, v.finding(state, severity, subject, evidence, fmt.Sprintf(format, values...)))
}

func (v *verdict) finding(state report.State, severity report.Severity, subject string, evidence facts.Evidence, message string) report.Finding {
	c := v.check
	found := report.Finding{
		Rule: c.ID, Title: c.Title, Severity: severity, State: state, Subject: subject, Message: message,
		Evidence: string(evidence), Point: strings.Join(c.Points, ", "), References: c.References,
	}
	if state == report.Fail || state == report.Warn {
		found.Remedy = c.Remedy
	}
	return found
}

// fail reports what is not well with a subject.
func (v *verdict) fail(subject string, evidence facts.Evidence, format string, values ...any) {
	v.add(report.Fail, v.check.Severity, subject, evidence, format, values)
}

// failAs is fail with another severity than the check's.
func (v *verdict) failAs(severity report.Severity, subject string, evidence facts.Evidence, format string, values ...any) {
	v.add(report.Fail, severity, subject, evidence, format, values)
}

// gap is fail where what is not well is that something could not be looked at.
func (v *verdict) gap(subject string, evidence facts.Evidence, format string, values ...any) {
	v.fail(subject, evidence, format, values...)
	v.findings[len(v.findings)-1].Gap = true
}

// warn reports what could be better with a subject.
func (v *verdict) warn(subject string, evidence facts.Evidence, format string, values ...any) {
	v.add(report.Warn, v.check.Severity, subject, evidence, format, values)
}

// unknown says what is missing. The check cannot pass any more.
func (v *verdict) unknown(format string, values ...any) {
	if text := fmt.Sprintf(format, values...); !slices.Contains(v.missing, text) {
		v.missing = append(v.missing, text)
	}
}

// pass says why all is well, for the case that nothing else was said.
func (v *verdict) pass(evidence facts.Evidence, format string, values ...any) {
	found := v.finding(report.Pass, v.check.Severity, "", evidence, fmt.Sprintf(format, values...))
	v.good = &found
}

// na says that what the check is about is off, for the case that nothing else was said.
func (v *verdict) na(evidence facts.Evidence, format string, values ...any) {
	found := v.finding(report.NotApplicable, v.check.Severity, "", evidence, fmt.Sprintf(format, values...))
	v.off = &found
}

// result is everything that was said: what is not well, then what is not known, and only then that all is well.
func (v *verdict) result() []report.Finding {
	all := v.findings
	if len(v.missing) > 0 {
		message := strings.Join(v.missing, "; ")
		if len(all) > 0 {
			message = "the rest could not be judged: " + message
		}
		return append(all, v.finding(report.Unknown, v.check.Severity, "", "", message))
	}
	switch {
	case len(all) > 0:
		return all
	case v.off != nil && v.offFirst:
		return []report.Finding{*v.off}
	case v.good != nil:
		return []report.Finding{*v.good}
	case v.off != nil:
		return []report.Finding{*v.off}
	default:
		return []report.Finding{v.finding(report.Unknown, v.check.Severity, "", "", "there is no evidence")}
	}
}

// Run judges facts by every check that is chosen; nil means all. Findings are in the order of the checks.
func Run(f *facts.Facts, options Options, chosen func(*Check) bool) []report.Finding {
	in := newInput(f, options)
	var all []report.Finding
	for _, check := range All() {
		if chosen != nil && !chosen(&check) {
			continue
		}
		v := &verdict{check: &check}
		check.judge(in, v)
		all = append(all, v.result()...)
	}
	return all
}
