package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt07() Check {
	return Check{
		ID: "BT-07", Title: "cluster-info is public only while nodes join", Mechanism: Bootstrap, Severity: report.Low, Points: []string{"G-16", "G-18"},
		Evidence: []facts.Evidence{facts.EvidenceBlackBox, facts.EvidenceObject},
		Remedy: "kubectl -n kube-public delete rolebinding kubeadm:bootstrap-signer-clusterinfo; kubeadm init phase bootstrap-token " +
			"makes it anew before a node joins.",
		judge: judgeBT07,
	}
}

func judgeBT07(in *input, v *verdict) {
	const quietDays = 30
	in.needs(v, facts.SourceClusterInfo, facts.SourceNodes)
	joined := slices.ContainsFunc(in.f.Nodes, func(n facts.Node) bool { return in.now.Sub(n.Created) < days(quietDays) })
	switch info := in.f.ClusterInfo; {
	case info == nil:
		v.unknown("cluster-info was not looked at without a credential")
	case !info.Public:
		v.pass(facts.EvidenceBlackBox, "cluster-info cannot be read without a credential")
	case !joined:
		v.warn("kube-public/cluster-info", facts.EvidenceBlackBox, "anybody can read it and try join tokens against its %d signatures, and no node has joined for %d days", len(info.Signatures), quietDays)
	default:
		v.pass(facts.EvidenceBlackBox, "cluster-info is public, and nodes do join")
	}
}
