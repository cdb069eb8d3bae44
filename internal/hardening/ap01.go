package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap01() Check {
	return Check{
		ID: "AP-01", Title: "The CA of authenticating proxies is no CA of clients", Mechanism: Proxy, Severity: report.Critical, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceExtension, facts.EvidenceFile},
		Remedy: "Make a CA for the front proxy alone, issue its certificate anew, and give kube-apiserver --requestheader-client-ca-file with that CA " +
			"and --requestheader-allowed-names with the proxy's name.",
		References: []string{"NCC-E003660 finding 5 (kubernetes/kubernetes#118980)"},
		judge:      judgeAP01,
	}
}

func judgeAP01(in *input, v *verdict) {
	judged := false
	judge := func(subject string, evidence facts.Evidence, clients, proxies []facts.Certificate, names []string) {
		judged = true
		shared, ok := sharedKey(clients, proxies)
		switch {
		case !ok:
		case len(names) == 0:
			v.fail(subject, evidence, "one CA (%q) signs certificates of clients and of proxies, and no name is demanded of a proxy: whoever has any client certificate can be anyone by a header", shared)
		default:
			v.failAs(report.High, subject, evidence, "one CA (%q) signs certificates of clients and of proxies: a client certificate for one of the names %s can be anyone by a header", shared, someOf(names))
		}
	}
	if e := in.f.Extension; e != nil && in.f.Knows(facts.SourceExtension) {
		if e.HasRequestHeader {
			judge("extension-apiserver-authentication", facts.EvidenceExtension, e.ClientCAs, e.RequestHeaderCAs, e.AllowedNames)
		} else {
			v.na(facts.EvidenceExtension, "no CA of proxies is configured")
			judged = true
		}
	}
	for _, s := range in.known {

		if s.RequestHeaderCAs != nil && s.ClientCAs != nil {
			judge(s.Name, facts.EvidenceFile, s.ClientCAs, s.RequestHeaderCAs, s.Flags["requestheader-allowed-names"])
			continue
		}
		if ca := s.Flags.Text("requestheader-client-ca-file", ""); ca != "" && ca == s.Flags.Text("client-ca-file", "") {
			v.fail(s.Name, s.Evidence, "--requestheader-client-ca-file and --client-ca-file are one file")
			judged = true
		}
	}
	if !judged {
		in.needs(v, facts.SourceExtension)
		v.unknown("neither the ConfigMap extension-apiserver-authentication nor both CA files were read")
		return
	}
	if !in.f.Knows(facts.SourceExtension) {
		in.needs(v, facts.SourceFlags)
	}
	if v.off == nil {
		v.pass(facts.EvidenceExtension, "no key signs for both clients and proxies")
	}
}

// sharedKey finds a key that is in both bundles, or in the second and signed a CA of the first: whom that lets in the second
// lets in, too. It gives the name that the key bears in the second.
func sharedKey(a, b []facts.Certificate) (name string, ok bool) {
	for i := range a {
		for j := range b {
			if a[i].KeyDigest == b[j].KeyDigest || a[i].SignerKeyID != "" && a[i].SignerKeyID == b[j].KeyID {
				return b[j].CommonName, true
			}
		}
	}
	return "", false
}
