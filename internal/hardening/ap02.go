package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap02() Check {
	return Check{
		ID: "AP-02", Title: "Authenticating proxies are known by name", Mechanism: Proxy, Severity: report.High, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceExtension, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy:   "Set --requestheader-allowed-names to the proxy's common name, for example front-proxy-client.",
		judge:    judgeAP02,
	}
}

func judgeAP02(in *input, v *verdict) {
	in.eachProxyConfiguration(v, func(subject string, evidence facts.Evidence, names []string) {
		if len(names) == 0 {
			v.fail(subject, evidence, "requestheader-allowed-names is empty: every certificate of the proxies' CA may be anyone by a header")
			return
		}
		for _, c := range in.certificates() {
			if slices.Contains(names, c.cert.CommonName) && c.evidence == facts.EvidenceObject {
				v.fail(subject, evidence, "the name %s, which a proxy must bear, is that of a client's certificate: %s", c.cert.CommonName, c.where)
			}
		}
	})
	v.pass(facts.EvidenceExtension, "proxies must bear a name that no client has")
}
