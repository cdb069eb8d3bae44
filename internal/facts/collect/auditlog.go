package collect

import (
	"context"
	"fmt"
	"os"
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
	state, detail := facts.Read, ""
	switch {
	case record.Events == 0:
		state, detail = facts.Unreadable, "there is no event in it; "+record.FirstBroken
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

// Usage is what audit logs told, as facts.
func Usage(record *auditlog.Record) *facts.Usage {
	usage := &facts.Usage{From: record.From, Until: record.Until}
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
