package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt02() Check {
	return Check{
		ID: "BT-02", Title: "Join tokens expire", Mechanism: Bootstrap, Severity: report.High, Points: []string{"G-16"},
		Evidence:   []facts.Evidence{facts.EvidenceObject, facts.EvidenceManifest, facts.EvidenceKubeadm},
		Remedy:     "Delete it (kubeadm token delete ID) and make one that ends: kubeadm token create --ttl 24h.",
		References: []string{"CIS 3.1.3"},
		judge:      judgeBT02,
	}
}

func judgeBT02(in *input, v *verdict) {
	in.eachJoinToken(v, func(t *facts.BootstrapToken, subject string) {
		if t.Expires.IsZero() {
			v.fail(subject, facts.EvidenceObject, "has no expiration")
		}
	})
	if k := in.f.Kubeadm; k != nil && k.EndlessTokens > 0 {
		v.fail("kubeadm configuration", facts.EvidenceKubeadm, "%d bootstrapTokens have ttl: 0", k.EndlessTokens)
	}
	v.pass(facts.EvidenceObject, "every join token has an end")
}
