package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc15() Check {
	return Check{
		ID: "XC-15", Title: "Nobody but their owner can read keys and kubeconfigs", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-09"},
		Evidence:   []facts.Evidence{facts.EvidenceFile},
		Remedy:     "chmod 600 FILE, and chmod go-w its folder; take a copy for public and issue anew what others could read.",
		References: []string{"CIS 1.1.13", "CIS 1.1.14"},
		judge:      judgeXC15,
	}
}

func judgeXC15(in *input, v *verdict) {
	sources := []facts.Source{facts.SourceKubeconfigs, facts.SourceKeys}
	asked := slices.DeleteFunc(slices.Clone(sources), func(s facts.Source) bool { return in.f.Status(s).State == facts.NotAsked })
	if len(asked) == 0 {
		asked = sources
	}
	in.needs(v, asked...)
	judge := func(file *facts.File) {
		switch {
		case file.State != facts.Read:
			v.unknown("%s could not be read", file.Path)
		case !file.HasMode:
			v.unknown("%s: this system has no permission bits", file.Path)
		case file.Mode&groupOrOthers != 0:
			v.fail(file.Path, facts.EvidenceFile, "may be read or written by others than its owner (mode %04o)", file.Mode)
		case file.DirMode&othersMayWrite != 0:
			v.fail(file.Path, facts.EvidenceFile, "lies in a folder in which others may put another in its place (mode %04o)", file.DirMode)
		}
	}
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		if slices.ContainsFunc(k.Users, holdsSecret) || k.File.State != facts.Read {
			judge(&k.File)
		}
	}
	for i := range in.f.Keys {
		judge(&in.f.Keys[i].File)
	}
	v.pass(facts.EvidenceFile, "keys and kubeconfigs with credentials are their owners' alone")
}

// The permission bits of everybody but the owner, and those that let everybody change a folder.
const (
	groupOrOthers  = 0o077
	othersMayWrite = 0o022
)

// holdsSecret reports whether whoever reads a kubeconfig can be its user.
func holdsSecret(u facts.KubeconfigUser) bool {
	return u.EmbeddedKey || u.Token != nil || u.Basic || len(u.ProviderSecrets) > 0
}
