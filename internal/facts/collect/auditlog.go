package collect

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/auditlog"
	"github.com/ostiary/ostiary/internal/facts"
)

// sayEvery is how many bytes of a log are read between two words about it.
const sayEvery = 128 << 20

// AuditLogs reads what API servers' audit logs tell of use. A log that was named and cannot be opened is an error.
func (g *Gatherer) AuditLogs(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var record auditlog.Record
	for _, name := range names {
		if err := g.auditLog(ctx, &record, name); err != nil {
			return err
		}
	}
	usage := Usage(&record)
	g.found.Usage = usage
	switch {
	case record.Broken > 0:
		usage.Incomplete = "lines of the audit log could not be read"
	case record.Overflow:
		usage.Incomplete = "more credentials were used than fit into memory"
	case !record.HasIDs:
		usage.Incomplete = "the audit log names no credential by its id (Kubernetes 1.32 and later do)"
	}
	state, detail := facts.Read, ""
	switch {
	case record.Events == 0:
		state, detail = facts.Unreadable, strings.TrimSuffix("there is no event in it; "+record.FirstBroken, "; ")
	case record.Broken > 0:
		state, detail = facts.Partial, fmt.Sprintf("%d lines could not be read; %s", record.Broken, record.FirstBroken)
	case record.Overflow:
		state, detail = facts.Partial, "more credentials were used than fit into memory"
	}
	g.note(facts.SourceUsage, state, record.Events, detail, "")
	return nil
}

func (g *Gatherer) auditLog(ctx context.Context, record *auditlog.Record, name string) error {
	file, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	total, said := int64(0), int64(0)
	g.say(name)
	err = record.Read(ctx, file, func(n int) {
		if total += int64(n); total-said >= sayEvery {
			said = total
			g.say(fmt.Sprintf("%s: %d MB", name, total>>20)) //nolint:mnd // megabytes
		}
	})
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// longestPause is how long an audit log may be silent: leases alone are renewed every few seconds, and an API server that
// is updated is back within minutes.
const longestPause = 10 * time.Minute

// Judge says, after everything was gathered, whether the records of use can be taken for all that was issued. Whether
// the logs are those of all API servers nobody can see in them: stated is that somebody says so.
func (g *Gatherer) Judge(stated bool) {
	usage := g.found.Usage
	if usage == nil || usage.Incomplete != "" {
		return
	}
	switch {
	case !stated:
		usage.Incomplete = "nobody says that the audit logs are those of all API servers, without a hole (needed: --audit-log-complete)"
	case usage.LongestGap > longestPause:
		usage.Incomplete = fmt.Sprintf("the audit log has a hole of %s", usage.LongestGap)
	default:
		usage.Incomplete = g.unlogged()
	}
	usage.Complete = usage.Incomplete == ""
}

// unlogged says why issues of tokens may be missing in the log by the policy that it is written by; empty where none are.
func (g *Gatherer) unlogged() string {
	known := false
	for _, server := range g.found.Servers() {
		if server.Flags.Text("audit-policy-file", "") == "" {
			return "the API server " + server.Name + " writes no audit log"
		}
		if server.AuditPolicy == nil {
			return "the audit policy of " + server.Name + " is not known (needed: --manifest on the node)"
		}
		if level := server.AuditPolicy.LeastLevelOf("create", "", "serviceaccounts/token"); !facts.Logs(level, "Metadata") {
			return "the audit policy of " + server.Name + " leaves out who has tokens of service accounts made"
		}
		known = true
	}
	if !known {
		return "no API server's audit policy is known (needed: --manifest on the node)"
	}
	return ""
}

// Usage is what audit logs told, as facts.
func Usage(record *auditlog.Record) *facts.Usage {
	usage := &facts.Usage{From: record.From, Until: record.Until, LongestGap: record.LongestGap()}
	for _, use := range record.Uses() {
		one := facts.Observation{
			Username: use.Username, Groups: use.Groups, CredentialID: use.CredentialID, Mechanism: use.Mechanism,
			Secret: use.Secret, Pod: use.Pod, Node: use.Node, Actions: use.Actions, ActedAs: use.ActedAs, First: use.First, Last: use.Last,
		}
		if len(use.Places) == 0 {
			usage.Observed = append(usage.Observed, one)
		}
		for _, place := range use.Places {
			one.Source, one.Agent, one.First, one.Last, one.Count = place.Source, place.Agent, place.First, place.Last, place.Count
			usage.Observed = append(usage.Observed, one)
		}
	}
	lifetimes := map[string]time.Duration{}
	for _, issue := range record.Issues() {
		if issue.Kind == auditlog.IssuedToken {
			usage.IssuedIDs = append(usage.IssuedIDs, facts.IssuedToken{
				CredentialID: issue.CredentialID, Account: issue.For, IssuedBy: issue.By, ByCredential: issue.ByCredential,
				Source: issue.Source, At: issue.At, Lifetime: issue.Lifetime, Bound: issue.Bound,
			})
			if issue.CredentialID != "" {
				lifetimes[issue.CredentialID] = issue.Lifetime
			}
			continue
		}
		usage.Certificates = append(usage.Certificates, facts.IssuedCertificate{
			CredentialID: issue.CredentialID, Request: issue.Name, SignerName: issue.Signer, IssuedBy: issue.By,
			ByCredential: issue.ByCredential, ApprovedBy: issue.ApprovedBy, Source: issue.Source, At: issue.At,
		})
	}
	for i := range usage.Observed {
		one := &usage.Observed[i]
		one.Lifetime = lifetimes[one.CredentialID]
	}
	for _, failure := range record.Failures() {
		usage.Failures = append(usage.Failures, facts.FailedAttempts(failure))
	}
	return usage
}
