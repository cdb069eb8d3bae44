package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi13() Check {
	return Check{
		ID: "OI-13", Title: "Any provider can be trusted", Mechanism: OIDC, Severity: report.Info, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Put a gate before the API server: Ostiary trusts any number of providers and hands identities on by impersonation, " +
			"which managed clusters allow.",
		judge: judgeOI13,
	}
}

func judgeOI13(in *input, v *verdict) {
	in.needs(v, facts.SourceFlags)
	managed := managedBy(in.f.Cluster.Version)
	switch {
	case managed != "":
		v.warn("", facts.EvidenceObject, "%s runs the API servers, and limits which providers they trust and how names are mapped", managed)
	case len(in.known) == 0:
		v.unknown("who runs the API servers: their flags are not known, and the version %q says nothing", in.f.Cluster.Version)
	default:
		v.pass(facts.EvidenceFlagz, "the flags of the API servers can be set here")
	}
}

// managedBy is who runs a cluster of such a version; empty where it does not say.
func managedBy(version string) string {
	for suffix, name := range map[string]string{"-eks-": "Amazon EKS", "-gke.": "Google GKE", "-aliyun.": "Alibaba ACK", "+vmware.": "VMware Tanzu"} {
		if strings.Contains(version, suffix) {
			return name
		}
	}
	return ""
}
