package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ap04() Check {
	return Check{
		ID: "AP-04", Title: "Identities are read from the usual headers only", Mechanism: Proxy, Severity: report.Medium, Points: []string{"G-31"},
		Evidence: []facts.Evidence{facts.EvidenceExtension, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Keep --requestheader-username-headers=X-Remote-User, --requestheader-group-headers=X-Remote-Group and " +
			"--requestheader-extra-headers-prefix=X-Remote-Extra-: a header that no proxy strips is one that anybody sets.",
		judge: judgeAP04,
	}
}

func judgeAP04(in *input, v *verdict) {
	usual := []string{"x-remote-user", "x-remote-uid", "x-remote-group", "x-remote-extra-"}
	judge := func(subject string, evidence facts.Evidence, lists ...[]string) {
		var odd []string
		for _, name := range slices.Concat(lists...) {
			if !slices.Contains(usual, strings.ToLower(name)) {
				odd = append(odd, name)
			}
		}
		if len(odd) > 0 {
			v.warn(subject, evidence, "identities are read from further headers, which proxies may not strip: %s", strings.Join(odd, ", "))
		}
	}
	on := false
	in.eachProxyConfiguration(v, func(string, facts.Evidence, []string) { on = true })
	if e := in.f.Extension; e != nil && e.HasRequestHeader {
		judge("extension-apiserver-authentication", facts.EvidenceExtension, e.UsernameHeaders, e.UIDHeaders, e.GroupHeaders, e.ExtraPrefixes)
	}
	for _, s := range in.known {
		judge(s.Name, s.Evidence, s.Flags["requestheader-username-headers"], s.Flags["requestheader-uid-headers"], s.Flags["requestheader-group-headers"], s.Flags["requestheader-extra-headers-prefix"])
	}
	if !on {
		if len(v.missing) == 0 {
			in.offUnlessUnknown(v, "no proxy's headers are believed")
		}
		return
	}
	v.pass(facts.EvidenceExtension, "identities are read from the usual headers only")
}
