package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tl04() Check {
	return Check{
		ID: "TL-04", Title: "What cannot be revoked cannot be used from everywhere", Mechanism: Transport, Severity: report.High, Points: []string{"G-05", "G-19"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceObject},
		Remedy: "Give the API server a private address, with a gate before it, or take the credentials away that the " +
			"message counts.",
		judge: judgeTL04,
	}
}

func judgeTL04(in *input, v *verdict) {
	in.needs(v, facts.SourceCertificates, facts.SourceTokenSecrets)
	const longDays = 30
	lasting := len(in.f.TokenSecrets)
	for _, c := range in.certificates() {
		if isPerson(c.cert.CommonName) && c.cert.Lifetime() > days(longDays) {
			lasting++
		}
	}
	servers := []string{in.f.Cluster.Server}
	for i := range in.f.Kubeconfigs {
		for j := range in.f.Kubeconfigs[i].Clusters {
			servers = append(servers, in.f.Kubeconfigs[i].Clusters[j].Server)
		}
	}
	for _, server := range servers {
		if server == "" {
			continue
		}
		public, known := isPublic(server)
		switch {
		case !known:
			v.unknown("whether %s is a public address is not known: its name was not looked up", server)
		case public && lasting > 0:
			v.fail(server, facts.EvidenceObject, "a public address, and %d credentials that live long and cannot be revoked", lasting)
		}
	}
	v.pass(facts.EvidenceObject, "the API server has a private address, or nothing lives long")
}
