package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc03() Check {
	return Check{
		ID: "XC-03", Title: "kubeadm issues for a year at most", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-06"},
		Evidence: []facts.Evidence{facts.EvidenceKubeadm},
		Remedy: "Take certificateValidityPeriod and caCertificateValidityPeriod out of the ClusterConfiguration: kubeadm renews on " +
			"every upgrade.",
		judge: judgeXC03,
	}
}

func judgeXC03(in *input, v *verdict) {
	const year = 366
	in.needs(v, facts.SourceKubeadm)
	k := in.f.Kubeadm
	if k == nil {
		if in.f.Knows(facts.SourceKubeadm) {
			v.na(facts.EvidenceKubeadm, "kubeadm did not make the cluster: there is no ConfigMap kubeadm-config")
		}
		return
	}
	if k.CertificateValidity > days(year) {
		v.warn("kubeadm-config", facts.EvidenceKubeadm, "certificateValidityPeriod is %s", span(k.CertificateValidity))
	}
	if k.CAValidity > days(10*year) { //nolint:mnd // kubeadm's own default is ten years
		v.fail("kubeadm-config", facts.EvidenceKubeadm, "caCertificateValidityPeriod is %s", span(k.CAValidity))
	}
	v.pass(facts.EvidenceKubeadm, "certificates live for a year and CAs for ten at most")
}
