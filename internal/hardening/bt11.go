package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt11() Check {
	return Check{
		ID: "BT-11", Title: "No join token stands in a file", Mechanism: Bootstrap, Severity: report.High, Points: []string{"G-17"},
		Evidence: []facts.Evidence{facts.EvidenceManifest, facts.EvidenceFile, facts.EvidenceKubeadm},
		Remedy: "Take it out and put it in when the node is made, or use discovery by file; delete the token that stood " +
			"there.",
		judge: judgeBT11,
	}
}

func judgeBT11(in *input, v *verdict) {
	if in.f.Status(facts.SourceTexts).State == facts.NotAsked && in.f.Status(facts.SourceKubeadm).State == facts.NotAsked {
		v.unknown("no file was looked into (needed: --join-file)")
		return
	}
	for _, source := range []facts.Source{facts.SourceTexts, facts.SourceKubeadm} {
		if in.f.Status(source).State != facts.NotAsked {
			in.needs(v, source)
		}
	}
	for i := range in.f.Texts {
		if t := &in.f.Texts[i]; t.JoinTokens > 0 {
			v.fail(t.Path, facts.EvidenceFile, "holds %d join tokens", t.JoinTokens)
		}
	}
	if k := in.f.Kubeadm; k != nil && k.LiteralTokens > 0 {
		v.fail("kubeadm configuration", facts.EvidenceManifest, "holds %d join tokens", k.LiteralTokens)
	}
	v.pass(facts.EvidenceFile, "no join token stands in the files that were looked into")
}
