package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func bt09() Check {
	return Check{
		ID: "BT-09", Title: "Join tokens were used for joining only", Mechanism: Bootstrap, Severity: report.High, Points: []string{"G-16"},
		Evidence:   []facts.Evidence{facts.EvidenceUse},
		Remedy:     "Delete the token, and look in the audit log for what system:bootstrap:ID did.",
		References: []string{"CIS 3.1.3"},
		judge:      judgeBT09,
	}
}

func judgeBT09(in *input, v *verdict) {
	used := in.usage(v)
	for i := range used {
		o := &used[i]
		if !strings.HasPrefix(o.Username, "system:bootstrap:") {
			continue
		}
		for _, action := range o.Actions {
			if !joinAction(action) {
				v.fail("user "+o.Username, facts.EvidenceUse, "did more than join, from %s: %s", o.Source, action)
			}
		}
	}
	v.pass(facts.EvidenceUse, "holders of join tokens did nothing but join")
}

// joinAction reports whether an action is one of those that joining takes: ask for a certificate, wait for it, and read
// kubeadm's configuration.
func joinAction(action string) bool {
	verb, resource, _ := strings.Cut(action, " ")
	switch resource {
	case "certificates.k8s.io/certificatesigningrequests":
		return verb == "create" || verb == "get" || verb == "list" || verb == "watch"
	case "configmaps", "nodes", "secrets", "path": // of the core group, and what is no resource, such as /version
		return verb == "get"
	case "authentication.k8s.io/selfsubjectreviews", "authorization.k8s.io/selfsubjectaccessreviews":
		return verb == "create"
	}
	return false
}
