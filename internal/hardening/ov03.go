package hardening

import (
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov03() Check {
	return Check{
		ID: "OV-03", Title: "No name can be had by two mechanisms", Mechanism: Overview, Severity: report.High, Points: []string{"G-03"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile, facts.EvidenceUse},
		Remedy: "Give each source names of its own: prefixes for issuers (claimMappings.username.prefix), and retire the " +
			"entry of the internal mechanism.",
		judge: judgeOV03,
	}
}

func judgeOV03(in *input, v *verdict) {
	in.needs(v, facts.SourceFlags, facts.SourceCertificates)
	ways := map[string][]string{}
	add := func(name, way string) {
		if name != "" && !slices.Contains(ways[name], way) {
			ways[name] = append(ways[name], way)
		}
	}
	for _, c := range in.certificates() {
		add(c.cert.CommonName, "client certificate")
	}
	for _, s := range in.servers(v) {
		if s.Flags.Text("token-auth-file", "") == "" {
			continue
		}
		if s.StaticTokens == nil {
			in.file(v, s, "token-auth-file")
			continue
		}
		for i := range s.StaticTokens.Entries {
			add(s.StaticTokens.Entries[i].User, "static token")
		}
	}
	if in.f.Usage != nil {
		for i := range in.f.Usage.Observed {
			if o := &in.f.Usage.Observed[i]; o.Mechanism != "" && o.Mechanism != "anonymous" {
				add(o.Username, wayOf(o.Mechanism))
			}
		}
	}
	for name, by := range ways {
		if len(by) < 2 { //nolint:mnd // two ways are one too many
			continue
		}
		slices.Sort(by)
		if isSystem(name) {
			v.failAs(report.Critical, "user "+name, facts.EvidenceObject, "the name is the cluster's own, and can be had by %s", strings.Join(by, " and by "))
		} else {
			v.fail("user "+name, facts.EvidenceObject, "the name can be had by %s: shutting one out leaves the other", strings.Join(by, " and by "))
		}
	}
	v.pass(facts.EvidenceObject, "each of %d names that are known comes from one mechanism", len(ways))
}

// wayOf says a mechanism's name as people do, where two spellings would look like two ways.
func wayOf(mechanism string) string {
	switch mechanism {
	case "clientCertificate":
		return "client certificate"
	case "staticToken":
		return "static token"
	default:
		return mechanism
	}
}
