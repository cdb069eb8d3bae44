package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func kc01() Check {
	return Check{
		ID: "KC-01", Title: "Kubeconfigs verify the server", Mechanism: Kubeconfig, Severity: report.High, Points: []string{"G-30"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Name the CA in certificate-authority-data, write https, and take insecure-skip-tls-verify away.",
		judge:    judgeKC01,
	}
}

func judgeKC01(in *input, v *verdict) {
	in.needs(v, facts.SourceKubeconfigs)
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		for j := range k.Clusters {
			c := &k.Clusters[j]
			subject := "cluster " + c.Name + " in " + k.File.Path
			switch {
			case c.Insecure:
				v.fail(subject, facts.EvidenceFile, "insecure-skip-tls-verify: whoever is on the way gets the credential")
			case strings.HasPrefix(c.Server, "http://"):
				v.fail(subject, facts.EvidenceFile, "the server is %s: the credential goes in clear", c.Server)
			case strings.HasPrefix(c.ProxyURL, "http://"):
				v.warn(subject, facts.EvidenceFile, "the proxy %s is reached in clear", c.ProxyURL)
			}
		}
	}
	if len(in.f.Kubeconfigs) > 0 {
		v.pass(facts.EvidenceFile, "every kubeconfig that was given verifies its servers")
	}
}
