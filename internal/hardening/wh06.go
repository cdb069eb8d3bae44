package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func wh06() Check {
	return Check{
		ID: "WH-06", Title: "Nobody but root can read or change the webhook's configuration", Mechanism: Webhook, Severity: report.High, Points: []string{"G-29"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "chown root and chmod 600 the file, and chmod go-w its folder: whoever changes it gets every token.",
		judge:    judgeWH06,
	}
}

func judgeWH06(in *input, v *verdict) {
	on := false
	for _, s := range in.servers(v) {
		if s.Flags.Text("authentication-token-webhook-config-file", "") == "" {
			continue
		}
		on = true
		file, ok := in.file(v, s, "authentication-token-webhook-config-file")
		switch {
		case !ok:
		case !file.HasMode:
			v.unknown("%s: this system has no permission bits", file.Path)
		case file.Mode&groupOrOthers != 0 || file.UID != 0 || file.DirMode&othersMayWrite != 0:
			v.fail(file.Path, facts.EvidenceFile, "may be read or changed by others than root (owner %d, mode %04o, folder %04o)", file.UID, file.Mode, file.DirMode)
		}
	}
	if !on {
		in.offUnlessUnknown(v, "no webhook is asked about tokens")
		return
	}
	v.pass(facts.EvidenceFile, "the webhook's configuration is root's alone")
}
