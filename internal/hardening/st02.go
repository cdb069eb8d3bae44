package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func st02() Check {
	return Check{
		ID: "ST-02", Title: "Nobody but root can read the static tokens", Mechanism: StaticToken, Severity: report.Critical, Points: []string{"G-12"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "chown root and chmod 600 the file, chmod go-w its folder, delete the copies, and make new tokens: these " +
			"may be known.",
		judge: judgeST02,
	}
}

func judgeST02(in *input, v *verdict) {
	in.eachTokenFile(v, func(s *facts.APIServer, file facts.File) {
		judge := func(file *facts.File, what string) {
			switch {
			case !file.HasMode:
				v.unknown("%s: this system has no permission bits", file.Path)
			case file.Mode&groupOrOthers != 0 || file.UID != 0:
				v.fail(file.Path, facts.EvidenceFile, "%s may be read by others than root (owner %d, mode %04o)", what, file.UID, file.Mode)
			case file.DirMode&othersMayWrite != 0:
				v.fail(file.Path, facts.EvidenceFile, "%s lies in a folder in which others may put another in its place (mode %04o)", what, file.DirMode)
			}
		}
		judge(&file, "the token file of "+s.Name)
		for i := range s.StaticTokens.Copies {
			v.fail(s.StaticTokens.Copies[i].Path, facts.EvidenceFile, "is a copy of the token file of %s", s.Name)
		}
	})
	v.pass(facts.EvidenceFile, "the token file is root's alone, and there is no copy beside it")
}
