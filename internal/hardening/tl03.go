package hardening

import (
	"fmt"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tl03() Check {
	return Check{
		ID: "TL-03", Title: "Kubelets let in nobody without a credential", Mechanism: Transport, Severity: report.Critical, Points: []string{"G-01"},
		Evidence: []facts.Evidence{facts.EvidenceManifest, facts.EvidenceObject},
		Remedy: "Set authentication.anonymous.enabled: false, authentication.x509.clientCAFile, authorization.mode: Webhook " +
			"and readOnlyPort: 0, and restart the kubelet.",
		References: []string{"CIS 4.2.1", "CIS 4.2.2", "CIS 4.2.3", "CIS 4.2.4"},
		judge:      judgeTL03,
	}
}

func judgeTL03(in *input, v *verdict) {
	in.needs(v, facts.SourceKubelets)
	if len(in.f.Kubelets) == 0 {
		v.unknown("no kubelet's configuration was read (needed: --kubelet-config)")
		return
	}
	for i := range in.f.Kubelets {
		k := &in.f.Kubelets[i]
		var faults []string
		if k.Anonymous {
			faults = append(faults, "anonymous requests are let in")
		}
		if k.AuthorizationMode == "AlwaysAllow" {
			faults = append(faults, "everything is authorized")
		}
		if k.ReadOnlyPort != 0 {
			faults = append(faults, fmt.Sprintf("port %d answers without a credential", k.ReadOnlyPort))
		}
		if k.ClientCAFile == "" {
			faults = append(faults, "client certificates are not believed")
		}
		if len(faults) > 0 {
			v.fail(k.Node, k.Evidence, "%s", strings.Join(faults, "; "))
		}
	}
	in.otherKubelets(v)
	v.pass(facts.EvidenceManifest, "kubelets whose configuration was read let in nobody without a credential")
}
