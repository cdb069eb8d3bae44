package hardening

import (
	"path/filepath"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func kc03() Check {
	return Check{
		ID: "KC-03", Title: "Plugins are programs that nobody else can change", Mechanism: Kubeconfig, Severity: report.Medium, Points: []string{"G-23"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy: "Name the plugin by its whole path, and chown root and chmod 755 it: whoever changes it has every credential that it " +
			"gets.",
		judge: judgeKC03,
	}
}

func judgeKC03(in *input, v *verdict) {
	in.needs(v, facts.SourceKubeconfigs)
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Users {
			exec := k.Users[j].Exec
			if exec == nil {
				continue
			}
			subject := "user " + k.Users[j].Name + " in " + k.File.Path
			hasPath := strings.ContainsAny(exec.Command, `/\`)
			switch {
			case exec.Writable:
				v.warn(subject, facts.EvidenceFile, "others than its owner can change the plugin %s", exec.Command)
			case hasPath && !filepath.IsAbs(exec.Command):
				v.warn(subject, facts.EvidenceFile, "the plugin %s is looked for beside the file: whoever hands on the file hands on the program", exec.Command)
			case !exec.Looked:
				v.unknown("the plugin %s was not found on this machine", exec.Command)
			}
		}
	}
	if len(in.f.Kubeconfigs) > 0 {
		v.pass(facts.EvidenceFile, "every plugin that kubeconfigs name can be changed by its owner only")
	}
}
