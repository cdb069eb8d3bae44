package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt05() Check {
	return Check{
		ID: "BT-05", Title: "Join tokens cannot be guessed", Mechanism: Bootstrap, Severity: report.Critical, Points: []string{"G-17"},
		Evidence:   []facts.Evidence{facts.EvidenceObject},
		Remedy:     "Delete it now (kubeadm token delete ID) and make one with kubeadm token create; never type one.",
		References: []string{"CIS 3.1.3"},
		judge:      judgeBT05,
	}
}

func judgeBT05(in *input, v *verdict) {
	const leastBits = 64 // its 16 characters hold 82 at best
	seen := map[string]string{}
	in.eachJoinToken(v, func(t *facts.BootstrapToken, subject string) {
		before, again := seen[t.Secret.Digest]
		switch {
		case t.Token.Published:
			v.fail(subject, facts.EvidenceObject, "stands in public documents")
		case t.Secret.Bits < leastBits:
			v.fail(subject, facts.EvidenceObject, "its secret holds some %.0f bits of chance, less than %d", t.Secret.Bits, leastBits)
		case again:
			v.fail(subject, facts.EvidenceObject, "has the same secret as %s", before)
		}
		seen[t.Secret.Digest] = subject
	})
	v.pass(facts.EvidenceObject, "every join token holds at least %d bits of chance, as far as can be told", leastBits)
}
