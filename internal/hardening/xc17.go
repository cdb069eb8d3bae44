package hardening

import (
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc17() Check {
	return Check{
		ID: "XC-17", Title: "Administrators' kubeconfigs are not left on the node", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-09"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceUse},
		Remedy: "Move admin.conf and super-admin.conf into a vault for emergencies and delete them from the node; work through a " +
			"provider. kubeadm init phase kubeconfig admin makes one anew.",
		References: []string{"CIS 1.1.13"},
		judge:      judgeXC17,
	}
}

func judgeXC17(in *input, v *verdict) {
	in.needs(v, facts.SourceKubeconfigs)
	ids := map[string]string{}
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		if base := filepath.Base(k.File.Path); base != "admin.conf" && base != "super-admin.conf" {
			continue
		}
		for j := range k.Users {
			u := &k.Users[j]
			if u.Certificate != nil {
				ids["X509SHA256="+u.Certificate.Fingerprint] = k.File.Path
			}
			if u.EmbeddedKey || u.KeyFile != "" || u.Token != nil {
				v.fail(k.File.Path, facts.EvidenceFile, "lies there for whoever gets onto the node: %s amounts to the whole cluster", u.Name)
			}
		}
	}
	if in.f.Usage != nil {
		for i := range in.f.Usage.Observed {
			o := &in.f.Usage.Observed[i]
			if file := ids[o.CredentialID]; file != "" {
				v.warn(file, facts.EvidenceUse, "was used from %s by %s, last on %s", o.Source, agentName(o.Agent), o.Last.Format(time.DateOnly))
			}
		}
	}
	if len(in.f.NodeFolders) == 0 {
		v.unknown("no control plane's folder was looked at (needed: --node on each)")
	}
	v.pass(facts.EvidenceFile, "no admin.conf and no super-admin.conf with a key lies on the %d control planes that were looked at", len(in.f.NodeFolders))
}
