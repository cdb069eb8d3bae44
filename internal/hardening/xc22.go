package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc22() Check {
	return Check{
		ID: "XC-22", Title: "Kubelets renew their certificates", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-06"},
		Evidence: []facts.Evidence{facts.EvidenceManifest, facts.EvidenceObject},
		Remedy: "Set rotateCertificates: true in the KubeletConfiguration, lower --cluster-signing-duration on " +
			"kube-controller-manager, and restart the kubelet.",
		References: []string{"CIS 4.2.10"},
		judge:      judgeXC22,
	}
}

func judgeXC22(in *input, v *verdict) {
	const year = 366
	in.needs(v, facts.SourceKubelets, facts.SourceCertificates)
	for i := range in.f.Kubelets {
		if k := &in.f.Kubelets[i]; !k.RotateCertificates {
			v.fail("kubelet "+k.Node, k.Evidence, "rotateCertificates is off: the certificate lives on until somebody thinks of it")
		}
	}
	for _, c := range in.certificates() {
		if strings.HasPrefix(c.cert.CommonName, "system:node:") && c.cert.Lifetime() > days(year) {
			v.fail(c.where, c.evidence, "the certificate of %s is valid for %s", c.cert.CommonName, span(c.cert.Lifetime()))
		}
	}
	in.otherKubelets(v)
	if len(in.f.Kubelets) > 0 {
		v.pass(facts.EvidenceManifest, "%d kubelets renew their certificates, and none is valid for more than a year", len(in.f.Kubelets))
	}
}
