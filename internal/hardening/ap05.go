package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap05() Check {
	return Check{
		ID: "AP-05", Title: "The way from the proxy to the API server is secure", Mechanism: Proxy, Severity: report.Critical, Points: []string{"G-30"},
		Evidence: []facts.Evidence{facts.EvidenceFile},
		Remedy:   "Name the API server's CA in the proxy's kubeconfig, write https, and take insecure-skip-tls-verify away.",
		judge:    judgeAP05,
	}
}

func judgeAP05(in *input, v *verdict) {
	names := map[string]bool{}
	known := false
	in.eachProxyConfiguration(v, func(_ string, _ facts.Evidence, allowed []string) {
		known = true
		for _, name := range allowed {
			names[name] = true
		}
	})
	looked := false
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		if !slices.ContainsFunc(k.Users, func(u facts.KubeconfigUser) bool {
			return u.Impersonates != "" || u.Certificate != nil && names[u.Certificate.CommonName]
		}) {
			continue
		}
		looked = true
		for j := range k.Clusters {
			if c := &k.Clusters[j]; c.Insecure || !strings.HasPrefix(c.Server, "https://") {
				v.fail(k.File.Path, facts.EvidenceFile, "a proxy's kubeconfig does not verify the API server at %s: whoever is on the way can be anyone", c.Server)
			}
		}
	}
	switch {
	case looked:
		v.pass(facts.EvidenceFile, "proxies' kubeconfigs that were given verify the API server")
	case !known:
		in.offUnlessUnknown(v, "no proxy is believed")
	default:
		v.unknown("no kubeconfig of a proxy was given (needed: --kubeconfig-file)")
	}
}
