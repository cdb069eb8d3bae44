package hardening

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc14() Check {
	return Check{
		ID: "XC-14", Title: "Few may have certificates signed", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-08"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy: "Take update and patch on certificatesigningrequests/approval and /status, and approve and sign on signers, from everybody but " +
			"the approvers.",
		References: []string{"CIS 5.1.11"},
		judge:      judgeXC14,
	}
}

func judgeXC14(in *input, v *verdict) {
	const group = "certificates.k8s.io"
	in.needs(v, facts.SourceRBAC)
	found := in.holders(func(g *grant) bool {
		if g.namespace != "" {
			return false // signers and requests have no namespace
		}
		changes := func(what string) bool {
			update, _ := g.permits("update", group, "certificatesigningrequests/"+what)
			patch, _ := g.permits("patch", group, "certificatesigningrequests/"+what)
			return update || patch
		}
		_, approve := g.permits("approve", group, "signers")
		_, sign := g.permits("sign", group, "signers")
		return changes("approval") && approve || changes("status") && sign
	})
	for name, through := range found {
		if user, ok := strings.CutPrefix(name, rbacv1.UserKind+" "); ok && slices.Contains(in.options.Approvers, user) {
			continue
		}
		if in.fullAdmin(name) {
			continue // can do everything without a certificate
		}
		v.fail(name, facts.EvidenceObject, "may have certificates signed, by %s", through)
	}
	v.pass(facts.EvidenceObject, "only components and the approvers may approve or sign")
}
