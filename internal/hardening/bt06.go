package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt06() Check {
	return Check{
		ID: "BT-06", Title: "No join token can be guessed from what anybody may read", Mechanism: Bootstrap, Severity: report.Critical, Points: []string{"G-17", "G-18"},
		Evidence: []facts.Evidence{facts.EvidenceBlackBox},
		Remedy: "Delete the token now (kubeadm token delete ID), make another with \"kubeadm token create --ttl 1h\", look for nodes that joined by it, " +
			"and close the anonymous read of cluster-info when no node is joining: kubectl -n kube-public delete rolebinding kubeadm:bootstrap-signer-clusterinfo.",
		References: []string{"CIS 3.1.3"},
		judge:      judgeBT06,
	}
}

func judgeBT06(in *input, v *verdict) {
	in.needs(v, facts.SourceClusterInfo)
	info := in.f.ClusterInfo
	if info == nil {
		v.unknown("cluster-info was not looked at without a credential")
		return
	}
	if !info.Public {
		v.pass(facts.EvidenceBlackBox, "cluster-info cannot be read without a credential, so that no guess can be proved right")
		return
	}
	for _, signature := range info.Signatures {
		if signature.Guessed {
			v.fail("token "+signature.TokenID, facts.EvidenceBlackBox, "without any credential, the signature in cluster-info proves the whole token: it is %s", signature.How)
		}
	}
	v.pass(facts.EvidenceBlackBox, "none of %d signatures in cluster-info is of a token that people use by habit", len(info.Signatures))
}
