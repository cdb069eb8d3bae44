package kubectl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/inventory"
	"github.com/ostiary/ostiary/internal/report"
	"github.com/ostiary/ostiary/internal/version"
)

const inventoryLong = `List every credential that lets somebody into a cluster: by which mechanism, for whom, with what power and why, until
when, when used last, and who can read it. The cluster need not know of Ostiary.

It only reads: certificate requests, ServiceAccounts and their token Secrets (their metadata only), bootstrap tokens, RBAC, the
API servers' flags and the files that they name, kubeconfigs and certificates, audit logs, and the ledger where the server is
an Ostiary gate. Name files and logs by flags; --node reads those of a control plane. Nothing secret is in its output.

A source that could not be read is named, and the program ends with 3 unless --incomplete-ok is given: a list that lacks
something must not be taken for the whole. "Never used" always means within the time that a line names.

Exit codes: 0 done; 1 the question found something at or above --severity; 2 wrong use, or the cluster gave no answer;
3 a source could not be read, unless --incomplete-ok is given.`

const inventoryExample = `  # Everything, with people and last use
  kubectl ostiary inventory --audit-log /var/log/kubernetes/audit.log --node
  # What still works of somebody who left
  kubectl ostiary inventory --who alice --roster people.csv --audit-log audit.log
  # Which identities can be had by two mechanisms, and what is used that nobody issued
  kubectl ostiary inventory --same-identity
  kubectl ostiary inventory --unrecorded --audit-log audit.log
  # Who is cut off when the CA is exchanged, or an account is deleted
  kubectl ostiary inventory --blast-radius ca
  kubectl ostiary inventory --blast-radius account=ci/deployer
  # A page for those who do not use a terminal
  kubectl ostiary inventory --output html > inventory.html`

// inventoryFlags say what is asked, and how the answer is shown.
type inventoryFlags struct {
	factFlags
	reportFlags

	question inventory.Question
	dormant  time.Duration
	noGate   bool
}

func newInventory(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen inventoryFlags
	command := &cobra.Command{Use: "inventory", Short: "List every credential that lets somebody in", Long: inventoryLong, Example: inventoryExample}
	chosen.add(command)
	chosen.addCode(command)
	chosen.addEarlier(command)
	set := command.Flags()
	set.StringVar(&chosen.question.Who, "who", "", "Only what works of this `USER`, by any name that the roster has of them; what they had made, and what they can read.")
	set.BoolVar(&chosen.question.SameIdentity, "same-identity", false, "Only identities that can be had by several mechanisms.")
	set.BoolVar(&chosen.question.Unrecorded, "unrecorded", false, "Only what was used and nobody is known to have issued.")
	set.StringVar(&chosen.question.BlastRadius, "blast-radius", "", "Only what is cut off without `ca`, ca=NAME, account=namespace/name or issuer=URL.")
	set.BoolVar(&chosen.question.All, "all", false, "What does not work any more, too: expired, revoked, invalidated.")
	coded(command, func(ctx context.Context) error { return chosen.run(ctx, flags, streams) })
	return command
}

// add adds what inventory and review have in common: where facts come from, and how they are read.
func (i *inventoryFlags) add(command *cobra.Command) {
	i.factFlags.add(command)
	set := command.Flags()
	set.DurationVar(&i.dormant, "dormant", inventory.DefaultDormant, "After how long without use a credential is dormant.")
	set.BoolVar(&i.noGate, "no-gate", false, "Do not ask whether the server is an Ostiary gate with a ledger.")
}

func (i *inventoryFlags) run(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) error {
	earlier, err := i.readEarlier(inventory.Keys)
	if err != nil {
		return err
	}
	built, err := i.build(ctx, flags, streams)
	if err != nil {
		return err
	}
	answer, err := built.Ask(&i.question)
	if err != nil {
		return err
	}
	result, err := built.Report(answer, i.format, version.Get().Version, earlier)
	if err != nil {
		return err
	}
	result.Summary = append(result.Summary, costFigure(built.Facts())...)
	return i.write(streams, result, "there are findings", "not every source could be read; the report says which")
}

// build gathers facts, or reads them, and makes the inventory.
func (i *inventoryFlags) build(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (*inventory.Inventory, error) {
	if i.dormant < 0 {
		return nil, fmt.Errorf("--dormant %s: want a time that is not below zero", i.dormant)
	}
	found, err := i.facts(ctx, flags, streams)
	if err != nil {
		return nil, err
	}
	input := inventory.Input{Dormant: i.dormant, Facts: found}
	if i.snapshot == "" && !i.noGate && !i.gather.noCluster {
		if input.Ledger, err = askLedger(ctx, flags, streams); err != nil {
			return nil, exitWith(report.CodeFailed, "%w", err)
		}
	}
	return inventory.Build(&input), nil
}

// askLedger reads what the gate has recorded, where the server is a gate; nil where it is none.
func askLedger(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (*inventory.Ledger, error) {
	server, err := connect(flags, streams)
	if err != nil {
		return nil, err
	}
	status, err := server.gateStatus(ctx)
	if errors.Is(err, errNotAGate) {
		return nil, nil //nolint:nilnil // no gate, no ledger
	}
	if err != nil {
		return &inventory.Ledger{Problem: err.Error()}, nil //nolint:nilerr // a source that could not be read is named in the report
	}
	ledger := &inventory.Ledger{Cluster: status.Cluster.Name}
	all, err := server.credentials(ctx, &getFlags{})
	if err != nil {
		ledger.Problem = err.Error()
		return ledger, nil //nolint:nilerr // as above
	}
	list, ok := all.(*credentialList)
	if !ok {
		return nil, fmt.Errorf("the gate's credentials are of the type %T", all)
	}
	for n := range list.Items {
		if entry := list.Items[n]; entry.Spec.Cluster == "" || entry.Spec.Cluster == ledger.Cluster || entry.Status.LastCluster == ledger.Cluster {
			ledger.Entries = append(ledger.Entries, entryOf(&entry))
		}
	}
	return ledger, nil
}

// entryOf is a record of the ledger for the inventory.
func entryOf(c *adminapi.Credential) inventory.Entry {
	return inventory.Entry{
		ID: c.Spec.ID, Issuer: c.Spec.Issuer, Mechanism: c.Spec.Mechanism, Username: c.Spec.Username, Groups: c.Spec.Groups,
		NotBefore: c.Spec.NotBefore, NotAfter: c.Spec.NotAfter, FirstUsed: c.Status.FirstUsed, LastUsed: c.Status.LastUsed,
		LastSource: c.Status.LastSource, Origin: c.Status.Origin, IssuedTo: c.Status.IssuedTo.Username,
		Revoked: c.Status.State == adminapi.StateRevoked, Revocation: c.Status.Revocation,
	}
}
