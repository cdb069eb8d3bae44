package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov08() Check {
	return Check{
		ID: "OV-08", Title: "Nobody who has left can get in", Mechanism: Overview, Severity: report.Critical, Points: []string{"G-02"},
		Evidence:   []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy:     "Shut the person out (kubectl ostiary revoke --user NAME), then take the credential away at its source.",
		References: []string{"SOC 2 CC6.2", "ISO 27001 A.5.18"},
		judge:      judgeOV08,
	}
}

func judgeOV08(in *input, v *verdict) {
	in.needs(v, facts.SourceRoster, facts.SourceCertificates)
	active := map[string]bool{}
	for i := range in.f.Roster {
		for _, name := range in.f.Roster[i].Usernames {
			active[name] = active[name] || in.f.Roster[i].Active
		}
	}
	if len(in.f.Roster) == 0 {
		v.unknown("no roster was given (needed: --roster)")
		return
	}
	judge := func(name, where string, evidence facts.Evidence) {
		if ok, known := active[name]; isPerson(name) && !ok {
			if known {
				v.fail("user "+name, evidence, "has left by the roster, and has a credential that works: %s", where)
			} else {
				v.fail("user "+name, evidence, "is not on the roster, and has a credential that works: %s", where)
			}
		}
	}
	for _, c := range in.certificates() {
		judge(c.cert.CommonName, c.where, c.evidence)
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
			judge(s.StaticTokens.Entries[i].User, "a line of the token file of "+s.Name, facts.EvidenceFile)
		}
	}
	v.pass(facts.EvidenceObject, "everybody with a certificate or static token that is known is on the roster and active")
}
