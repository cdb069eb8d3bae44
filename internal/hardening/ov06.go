package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func ov06() Check {
	return Check{
		ID: "OV-06", Title: "Every source of credentials could be reviewed", Mechanism: Overview, Severity: report.High, Points: []string{"G-03"},
		Evidence: []facts.Evidence{facts.EvidenceObject},
		Remedy:   "Grant the right, or attach the file, that the finding names; a review that leaves a source out is none.",
		judge:    judgeOV06,
	}
}

func judgeOV06(in *input, v *verdict) {
	// Where credentials are kept must have been asked, and what the flags name must have been read.
	for _, source := range []facts.Source{
		facts.SourceFlags, facts.SourceCertificates, facts.SourceBootstrapTokens, facts.SourceServiceAccounts, facts.SourceTokenSecrets,
	} {
		if in.f.Status(source).State == facts.NotAsked {
			in.needs(v, source)
		}
	}
	for _, s := range in.known {
		for _, flag := range []string{"token-auth-file", "authentication-config", "authentication-token-webhook-config-file"} {
			if s.Flags.Text(flag, "") != "" {
				in.file(v, s, flag)
			}
		}
	}
	for _, status := range in.f.Sources {
		switch status.State {
		case facts.Unreadable, facts.Partial:
			v.gap(string(status.Source), facts.EvidenceObject, "could not be read as a whole: %s%s", status.Detail, needed(status))
		case facts.NotAsked, facts.Read, facts.Absent:
		}
	}
	v.pass(facts.EvidenceObject, "all %d sources were read", len(in.f.Sources))
}

func needed(status facts.SourceStatus) string {
	if status.Needs == "" {
		return ""
	}
	return "; needed: " + status.Needs
}
