package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/server"
)

func (p program) storeCommand(streams IO) *cobra.Command {
	return group(&cobra.Command{
		Use:   "store",
		Short: "Look after the store that the ledger is kept in",
	},
		storeNewKeyCommand(streams),
		p.storeRewrapCommand(streams),
		p.storeSnapshotCommand(streams),
		p.storeVerifyCommand(streams),
		p.storeRestoreCommand(streams),
		p.storeAcceptRollbackCommand(streams),
		p.storeMigrateCommand(streams),
	)
}

// missingFlag is wrong usage: a flag that the command cannot do without.
func missingFlag(command *cobra.Command, name string) error {
	return &usageError{command: command.CommandPath(), cause: fmt.Errorf("--%s is required", name)}
}

// storeReport is what commands say of a ledger with --output json. Fields are only ever added.
type storeReport struct {
	Ledger      string   `json:"ledger"`
	Acts        uint64   `json:"acts"`
	Digest      string   `json:"digest"`
	Revocations int      `json:"revocations"`
	Lifted      int      `json:"lifted"`
	Credentials int      `json:"credentials"`
	Replicas    int      `json:"replicas"`
	ShutOut     []string `json:"shutOut,omitempty"`
}

// writeReport writes what there is in a ledger, and the revocations that a command made.
func writeReport(w io.Writer, format outputFormat, did string, report server.StoreReport, made []*ledger.Revocation) error {
	if format == outputJSON {
		out := storeReport{
			Ledger: report.Ledger, Acts: report.Acts, Digest: report.Mark.Chain, Revocations: report.Standing, Lifted: report.Lifted,
			Credentials: report.Entries, Replicas: report.Replicas,
		}
		for _, one := range made {
			out.ShutOut = append(out.ShutOut, one.Name)
		}
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(out)
	}
	if _, err := fmt.Fprintf(w, "%s: ledger %s, %s with digest %.16s: %s in force, %d lifted, %s on record\n", did, report.Ledger,
		count(int(report.Acts), "act"), report.Mark.Chain, count(report.Standing, "revocation"), report.Lifted, count(report.Entries, "credential")); err != nil { //nolint:gosec // a count
		return err
	}
	return writeShutOut(w, made)
}

// writeShutOut says what was shut out since revocations may be lost.
func writeShutOut(w io.Writer, made []*ledger.Revocation) error {
	for _, one := range made {
		if _, err := fmt.Fprintf(w, "shut out: all %s credentials that were issued so far, by %s\n", one.Target.Name, one.Name); err != nil {
			return err
		}
	}
	return nil
}
