package kubectl

import (
	"fmt"
	"os"
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
	gather                gatherFlags
	snapshot              string
	severity              report.Severity
	checks                []string
	waivers, earlier      string
	breakGlass, approvers []string
	incompleteOK          bool
	format                report.Format
}

func newAudit(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	chosen := auditFlags{severity: report.Medium, format: report.FormatTable}
	command := &cobra.Command{
		Use: "audit", Short: "Judge a cluster's authentication against the hardening guide", Long: auditLong, Example: auditExample,
		Args: failing(cobra.NoArgs),
	}
	chosen.gather.add(command)
	set := command.Flags()
	set.StringVar(&chosen.snapshot, "from-snapshot", "", "Judge the `FILE` that \"kubectl ostiary snapshot\" wrote, and ask nobody.")
	set.Var(&chosen.severity, "severity", "From which severity on findings end the program with 1: info, low, medium, high, critical.")
	set.StringSliceVar(&chosen.checks, "check", nil, "Run these checks only, by their ids or their first letters, for example BT-06,AP.")
	set.StringVar(&chosen.waivers, "waivers", "", "A `FILE` of findings that somebody answers for, with owner, reason and end.")
	set.StringVar(&chosen.earlier, "only-new", "", "Show only what an earlier report does not have: a `FILE` written with --output json.")
	set.StringSliceVar(&chosen.breakGlass, "break-glass", nil, "User names whose certificates may be in system:masters: those in the vault.")
	set.StringSliceVar(&chosen.approvers, "approver", nil, "User names that may approve certificates for clients.")
	set.BoolVar(&chosen.incompleteOK, "incomplete-ok", false, "Do not end with 3 where a source could not be read.")
	set.VarP(&chosen.format, "output", "o", "Output format: "+strings.Join(report.Formats(), ", ")+".")
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitWith(report.CodeFailed, "%w", err) })
	command.RunE = func(command *cobra.Command, _ []string) error {
		code, err := chosen.run(command, flags, streams)
		switch {
		case err != nil:
			return exitWith(report.CodeFailed, "%w", err)
		case code == report.CodeFindings:
			return exitWith(code, "there are findings of severity %s or above", chosen.severity)
		case code == report.CodeIncomplete:
			return exitWith(code, "not everything could be read; the report says what, and --incomplete-ok leaves it at that")
		}
		return nil
	}
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

func (a *auditFlags) run(command *cobra.Command, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (int, error) {
	chosen, err := a.chosen()
	if err != nil {
		return 0, err
	}
	waivers, earlier := &hardening.Waivers{}, (*report.Earlier)(nil)
	if a.waivers != "" {
		data, err := readBounded(a.waivers)
		if err != nil {
			return 0, err
		}
		if waivers, err = hardening.ReadWaivers(data); err != nil {
			return 0, fmt.Errorf("%s: %w", a.waivers, err)
		}
	}
	if a.earlier != "" {
		if earlier, err = readEarlier(a.earlier); err != nil {
			return 0, err
		}
	}
	found, err := a.facts(command, flags, streams)
	if err != nil {
		return 0, err
	}
	findings := hardening.Run(found, hardening.Options{BreakGlass: a.breakGlass, Approvers: a.approvers}, chosen)
	// Waivers end by the clock of whoever asks, ages by that of the facts.
	waivers.Accept(findings, time.Now())
	result := newAuditReport(found, findings)
	if earlier != nil {
		if err := result.OnlyNew(earlier); err != nil {
			return 0, fmt.Errorf("%s: %w", a.earlier, err)
		}
	}
	if err := result.Write(streams.Out, a.format); err != nil {
		return 0, err
	}
	return result.Code(a.severity, a.incompleteOK), nil
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

func readEarlier(name string) (*report.Earlier, error) {
	file, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	earlier, err := report.ReadEarlier(file, nil)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return earlier, nil
}

// facts reads a snapshot, or gathers them now.
func (a *auditFlags) facts(command *cobra.Command, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (*facts.Facts, error) {
	if a.snapshot == "" {
		return a.gather.gather(command.Context(), flags, streams)
	}
	file, err := os.Open(a.snapshot)
	if err != nil {
		return nil, err
	}
	found, err := facts.Decode(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.snapshot, err)
	}
	return found, nil
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
		result.Sources = append(result.Sources, reportSource(status))
	}
	counts := map[report.State]int{}
	for i := range findings {
		counts[findings[i].State]++
	}
	for _, state := range []report.State{report.Fail, report.Warn, report.Unknown, report.Pass, report.NotApplicable, report.Accepted} {
		result.Summary = append(result.Summary, report.Figure{Name: state.String(), Value: fmt.Sprint(counts[state])})
	}
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
