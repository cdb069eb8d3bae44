package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/report"
	"github.com/ostiary/ostiary/internal/review"
	"github.com/ostiary/ostiary/internal/version"
)

const reviewLong = `Review who can get in, with evidence for auditors.

start freezes everything that may let somebody in, with a hash, and writes a sheet for reviewers. decide takes the sheet
back, holds each decision to the rules (a reason for each revocation and for all that amounts to the whole cluster, nobody
decides about themselves), and with --revoke carries revocations out where the server is an Ostiary gate. finish looks
again, and proves what became of each line.

A population that lacks a source is refused. Sign the files with what your organisation signs with: the hash shows that
nothing was changed, not who made it.

Exit codes: 0 done; 1 a decision breaks a rule, or something works that was to go; 2 wrong use, or a file was changed;
3 a source could not be read, unless --incomplete-ok is given.`

func newReview(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{
		Use: "review (start | decide | finish)", Short: "Review who can get in, with evidence for auditors", Long: reviewLong, Args: failing(cobra.NoArgs),
		Example: `  kubectl ostiary review start --node --audit-log audit.log --out review.json --sheet sheet.csv
  kubectl ostiary review decide --review review.json --decisions sheet.csv --out decided.json --revoke
  kubectl ostiary review finish --review decided.json --node --audit-log audit.log --output html > evidence.html`,
	}
	command.AddCommand(newReviewStart(flags, streams), newReviewDecide(flags, streams), newReviewFinish(flags, streams))
	return command
}

// coded gives errors without a code of their own that of wrong use, and errors of flags as well.
func coded(command *cobra.Command, run func(context.Context) error) {
	command.Args = failing(cobra.NoArgs)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitWith(report.CodeFailed, "%w", err) })
	command.RunE = func(command *cobra.Command, _ []string) error {
		err := run(command.Context())
		if _, has := errors.AsType[*exitError](err); err == nil || has {
			return err
		}
		return exitWith(report.CodeFailed, "%w", err)
	}
}

func newReviewStart(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen inventoryFlags
	var out, sheet string
	command := &cobra.Command{Use: "start", Short: "Freeze who can get in, and write a sheet for reviewers"}
	chosen.add(command)
	set := command.Flags()
	set.StringVar(&out, "out", "review.json", "The `FILE` to write the frozen population to. It must not be there yet.")
	set.StringVar(&sheet, "sheet", "", "A CSV `FILE` for reviewers to fill in. It must not be there yet.")
	set.BoolVar(&chosen.incompleteOK, "incomplete-ok", false, "Freeze a population that lacks a source, and say so in it.")
	coded(command, func(ctx context.Context) error {
		built, err := chosen.build(ctx, flags, streams)
		if err != nil {
			return err
		}
		started, err := review.Start(built, version.Get().Version, built.Caller(), chosen.incompleteOK)
		if errors.Is(err, review.ErrIncomplete) {
			return exitWith(report.CodeIncomplete, "%w", err)
		}
		if err != nil {
			return err
		}
		if err := writeNew(out, started.Write); err != nil {
			return err
		}
		if sheet != "" {
			if err := writeNew(sheet, func(file io.Writer) error { return started.Sheet().Write(file, report.FormatCSV) }); err != nil {
				return err
			}
		}
		return write(streams.Out, fmt.Sprintf("%d lines frozen in %s\nhash %s\n", len(started.Population), out, started.Hash))
	})
	return command
}

func newReviewDecide(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var file, decisions, out string
	var partial, revoke bool
	command := &cobra.Command{Use: "decide", Short: "Take reviewers' decisions, and carry revocations out"}
	set := command.Flags()
	set.StringVar(&file, "review", "", "The `FILE` that start, or an earlier decide, wrote. Required.")
	set.StringVar(&decisions, "decisions", "", "The CSV `FILE` that reviewers filled in. Required.")
	set.StringVar(&out, "out", "decided.json", "The `FILE` to write. It must not be there yet.")
	set.BoolVar(&partial, "partial", false, "Take what is decided, and leave the rest open.")
	set.BoolVar(&revoke, "revoke", false, "Carry revocations out at the gate of the current context.")
	coded(command, func(ctx context.Context) error {
		decided, err := readReview(file)
		if err != nil {
			return err
		}
		sheet, err := os.Open(decisions) //nolint:gosec // the operator names the file
		if err != nil {
			return err
		}
		err = decided.Decide(sheet, time.Now(), partial)
		if closeErr := sheet.Close(); err != nil || closeErr != nil {
			code := report.CodeFindings
			if errors.Is(err, review.ErrSheet) {
				code = report.CodeFailed
			}
			return exitWith(code, "%s: %w", decisions, errors.Join(err, closeErr))
		}
		var problem error
		if revoke {
			problem = carryOut(ctx, decided, flags, streams)
		}
		if err := errors.Join(decided.Seal(), writeNew(out, decided.Write)); err != nil {
			return err
		}
		if err := write(streams.Out, fmt.Sprintf("%d decisions in %s\nhash %s\n", len(decided.Decisions), out, decided.DecisionsHash)); err != nil {
			return err
		}
		return problem
	})
	return command
}

// carryOut revokes at the gate what was decided to go. What a gate cannot name is told, with what to do instead.
func carryOut(ctx context.Context, decided *review.Review, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) error {
	server, err := connect(flags, streams)
	if err != nil {
		return err
	}
	var byHand []string
	for _, decision := range decided.ToRevoke() {
		target, instead := targetOfItem(decided.Item(decision.ID))
		if instead != "" {
			byHand = append(byHand, decision.ID+": "+instead)
			continue
		}
		spec := adminapi.RevocationSpec{Reason: "access review " + decided.Hash[:12] + " by " + decision.Reviewer + ": " + decision.Reason, Scope: adminapi.ScopeAlways}
		done, err := server.revoke(ctx, []adminapi.Target{target}, spec, &revokeFlags{})
		if done != nil && len(done.Items) > 0 {
			decision.Revocation = done.Items[0].Metadata.Name
		}
		if err != nil {
			return exitWith(report.CodeFailed, "%s: %w", decision.ID, err)
		}
	}
	if len(byHand) > 0 {
		return exitWith(report.CodeFindings, "a gate cannot shut these out one by one:\n  %s", strings.Join(byHand, "\n  "))
	}
	return nil
}

// targetOfItem is how the ledger names a line; otherwise it says what to do instead.
func targetOfItem(item *review.Item) (target adminapi.Target, instead string) {
	if item.GateID != "" {
		return adminapi.Target{Credential: &adminapi.CredentialTarget{ID: item.GateID}}, ""
	}
	kind, value, _ := strings.Cut(item.ID, "=")
	switch kind {
	case "X509SHA256", "BOOTSTRAP", "STATIC", "JWTSHA256":
		return adminapi.Target{Credential: &adminapi.CredentialTarget{ID: item.ID}}, ""
	case "JTI":
		if !strings.Contains(item.Issuer, "://") {
			return target, "its issuer is not known; end it by deleting its pod or ServiceAccount"
		}
		return adminapi.Target{Credential: &adminapi.CredentialTarget{ID: item.ID, Issuer: item.Issuer}}, ""
	case "USER":
		return adminapi.Target{User: item.Username}, ""
	case "ISSUER":
		return adminapi.Target{Issuer: value}, ""
	case "SECRET":
		namespace, name, _ := strings.Cut(value, "/")
		return target, "kubectl delete secret --namespace " + namespace + " " + name
	case "STATICUSER":
		return target, "take the line out of the token file and restart the API server"
	default:
		return target, "take it away where it is kept"
	}
}

func newReviewFinish(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen inventoryFlags
	var file string
	var within time.Duration
	command := &cobra.Command{Use: "finish", Short: "Look again, and prove what became of each line"}
	chosen.add(command)
	set := command.Flags()
	set.StringVar(&file, "review", "", "The `FILE` that decide wrote. Required.")
	set.DurationVar(&within, "within", 0, "How long a revocation may take: until then, what works yet is a warning.")
	chosen.addCode(command)
	coded(command, func(ctx context.Context) error {
		decided, err := readReview(file)
		if err != nil {
			return err
		}
		built, err := chosen.build(ctx, flags, streams)
		if err != nil {
			return err
		}
		result, err := decided.Finish(built, version.Get().Version, within)
		if err != nil {
			return err
		}
		return chosen.write(streams, result, "not everything is as it was decided: there are findings", "not every source could be read, so that nothing can be shown to be gone")
	})
	return command
}

func readReview(name string) (*review.Review, error) {
	if name == "" {
		return nil, errors.New("--review: name the file that review start wrote")
	}
	file, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	read, err := review.Read(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return read, nil
}

// writeNew writes a file that is not there yet: evidence is never written over.
func writeNew(name string, content func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	return errors.Join(content(file), file.Close())
}
