package kubectl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/hardening"
	"github.com/ostiary/ostiary/internal/report"
	"github.com/ostiary/ostiary/internal/version"
)

const auditLong = `Judge a cluster's authentication against Kubernetes' hardening guide. The cluster need not know of Ostiary.

It only reads: objects of the API, flags of the API servers (/flagz, pods, kubeadm's configuration), and the files that
are named here. Without other flags it asks the cluster of the current kubeconfig context. Of Secrets it asks for their
metadata only, unless --read-bootstrap-tokens or --scan-secrets is given. A few requests are sent without a credential, to
see who else could, unless --no-probes is given. Run it on a control plane with --node, or give it --manifest, to have the
files judged, too. Nothing secret is in its output.

What could not be looked at is "unknown" and never passes. "kubectl ostiary snapshot" keeps the facts in a file, which
--from-snapshot judges later and elsewhere.

Exit codes: 0 nothing at or above --severity; 1 findings at or above it; 2 wrong use, or the cluster gave no answer;
3 a source that was asked could not be read, unless --incomplete-ok is given.`

const auditExample = `  kubectl ostiary audit
  kubectl ostiary audit --read-bootstrap-tokens --severity critical --output json
  kubectl ostiary audit --no-cluster --manifest kube-apiserver.yaml
  kubectl ostiary audit --from-snapshot facts.json --waivers waivers.yaml --only-new last-week.json --output sarif`

// AuditKind is the kind of an audit's report.
const auditKind = "HardeningReport"

// auditFlags say how facts are judged.
type auditFlags struct {
	factFlags
	reportFlags

	checks                []string
	waivers               string
	breakGlass, approvers []string
}

func newAudit(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen auditFlags
	command := &cobra.Command{Use: "audit", Short: "Judge a cluster's authentication against the hardening guide", Long: auditLong, Example: auditExample}
	chosen.add(command)
	chosen.addCode(command)
	chosen.addEarlier(command)
	set := command.Flags()
	set.StringSliceVar(&chosen.checks, "check", nil, "Run these checks only, by their ids or their first letters, for example BT-06,AP.")
	set.StringVar(&chosen.waivers, "waivers", "", "A `FILE` of findings that somebody answers for, with owner, reason and end.")
	set.StringSliceVar(&chosen.breakGlass, "break-glass", nil, "User names whose certificates may be in system:masters: those in the vault.")
	set.StringSliceVar(&chosen.approvers, "approver", nil, "User names that may approve certificates for clients.")
	coded(command, func(ctx context.Context) error { return chosen.run(ctx, flags, streams) })
	return command
}

// failing gives an error about arguments the code that these commands have for it.
func failing(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return exitWith(report.CodeFailed, "%w", err)
		}
		return nil
	}
}

func (a *auditFlags) run(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) error {
	chosen, err := a.chosen()
	if err != nil {
		return err
	}
	waivers := &hardening.Waivers{}
	if a.waivers != "" {
		data, err := readBounded(a.waivers)
		if err != nil {
			return err
		}
		if waivers, err = hardening.ReadWaivers(data); err != nil {
			return fmt.Errorf("%s: %w", a.waivers, err)
		}
	}
	earlier, err := a.readEarlier(nil)
	if err != nil {
		return err
	}
	found, err := a.facts(ctx, flags, streams)
	if err != nil {
		return err
	}
	findings := hardening.Run(found, hardening.Options{BreakGlass: a.breakGlass, Approvers: a.approvers}, chosen)
	// Waivers end by the clock of whoever asks, ages by that of the facts.
	waivers.Accept(findings, time.Now())
	result := newAuditReport(found, findings)
	if earlier != nil {
		if err := result.OnlyNew(earlier); err != nil {
			return fmt.Errorf("%s: %w", a.earlier, err)
		}
	}
	return a.write(streams, result, "there are findings", "not everything could be read; the report says what")
}

// chosen reads --check.
func (a *auditFlags) chosen() (func(*hardening.Check) bool, error) {
	if len(a.checks) == 0 {
		return nil, nil //nolint:nilnil // nil chooses all
	}
	for _, want := range a.checks {
		if !slices.ContainsFunc(hardening.All(), func(c hardening.Check) bool { return matches(c.ID, want) }) {
			return nil, fmt.Errorf("--check: there is no check %q; docs/hardening.md lists them", want)
		}
	}
	return func(c *hardening.Check) bool {
		return slices.ContainsFunc(a.checks, func(want string) bool { return matches(c.ID, want) })
	}, nil
}

// matches reports whether an id is the one that was asked for, or begins with its letters.
func matches(id, want string) bool {
	letters, _, _ := strings.Cut(id, "-")
	return strings.EqualFold(id, want) || strings.EqualFold(letters, want)
}

// newAuditReport puts findings beside what they were drawn from.
func newAuditReport(f *facts.Facts, findings []report.Finding) *report.Report {
	result := &report.Report{
		Kind: auditKind, Title: "Authentication, against the hardening guide", Tool: "kubectl-ostiary", Version: version.Get().Version,
		Target: f.Cluster.Server, Generated: f.CollectedAt, Findings: findings,
	}
	if result.Target == "" {
		result.Target = "files"
	}
	for _, status := range f.Sources {
		if status.State == facts.NotAsked {
			continue // it was not to be had, and the check that wants it says so
		}
		result.Sources = append(result.Sources, reportSource(status))
	}
	counts := map[report.State]int{}
	for i := range findings {
		counts[findings[i].State]++
	}
	for _, state := range []report.State{report.Fail, report.Warn, report.Unknown, report.Pass, report.NotApplicable, report.Accepted} {
		result.Summary = append(result.Summary, report.Figure{Name: state.String(), Value: fmt.Sprint(counts[state])})
	}
	result.Summary = append(result.Summary, costFigure(f)...)
	result.Sort()
	return result
}

// reportSource says how far a source was read.
func reportSource(status facts.SourceStatus) report.Source {
	source := report.Source{Name: string(status.Source), Items: status.Count, Why: status.Detail}
	if status.Needs != "" {
		source.Why = strings.TrimPrefix(source.Why+"; needed: "+status.Needs, "; ")
	}
	switch status.State {
	case facts.Read:
		source.Access = report.Read
	case facts.Partial:
		source.Access = report.Partial
	case facts.Absent:
		source.Access, source.Why = report.Off, ""
	case facts.Unreadable, facts.NotAsked:
		source.Access = report.Unread
	}
	return source
}
