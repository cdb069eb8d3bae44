package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tl01() Check {
	return Check{
		ID: "TL-01", Title: "Credentials travel over TLS 1.2 or later", Mechanism: Transport, Severity: report.High, Points: []string{"G-30"},
		Evidence:   []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest, facts.EvidenceBlackBox},
		Remedy:     "Set --tls-min-version=VersionTLS12, better VersionTLS13, on kube-apiserver.",
		References: []string{"STIG V-242378"},
		judge:      judgeTL01,
	}
}

func judgeTL01(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		switch version := s.Flags.Text("tls-min-version", ""); version {
		case "VersionTLS10", "VersionTLS11":
			v.fail(s.Name, s.Evidence, "--tls-min-version=%s", version)
		}
	}
	for _, handshake := range in.f.Handshakes {
		if handshake.Accepted && (handshake.Offered == "TLS 1.0" || handshake.Offered == "TLS 1.1") {
			v.fail(handshake.Server, facts.EvidenceBlackBox, "takes %s", handshake.Offered)
		}
	}
	if in.f.Status(facts.SourceHandshake).State == facts.Unreadable {
		in.needs(v, facts.SourceHandshake)
	}
	v.pass(facts.EvidenceFlagz, "TLS 1.2 is the least: --tls-min-version asks for it, or Go's default does")
}
