package hardening

import (
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/report"
)

func tr08() Check {
	return Check{
		ID: "TR-08", Title: "Every token in use was issued by the cluster", Mechanism: TokenReq, Severity: report.Critical, Points: []string{"G-22", "G-08"},
		Evidence: []facts.Evidence{facts.EvidenceUse},
		Remedy: "Make a new signing key (--service-account-signing-key-file), and take the old one out of " +
			"--service-account-key-file: somebody has it.",
		judge: judgeTR08,
	}
}

func judgeTR08(in *input, v *verdict) {
	in.needs(v, facts.SourceFlags, facts.SourceServiceAccounts)
	used := in.usage(v)
	if in.f.Usage == nil {
		return
	}
	if !in.f.Usage.Complete {
		v.unknown("the records of use are not known to hold the issue of every token: %s", orReason(in.f.Usage.Incomplete))
		return
	}
	issued := map[string]bool{}
	for i := range in.f.Usage.IssuedIDs {
		issued[in.f.Usage.IssuedIDs[i].CredentialID] = true
	}
	created := map[string]time.Time{}
	for i := range in.f.ServiceAccounts {
		a := &in.f.ServiceAccounts[i]
		created[identity.ServiceAccountPrefix+a.Namespace+":"+a.Name] = a.Created
	}
	longest := in.longestToken()
	for i := range used {
		o := &used[i]
		if o.Mechanism != string(identity.TokenRequest) || o.CredentialID == "" || issued[o.CredentialID] {
			continue
		}
		// The token may be older than the records, unless its account is not, or no token lives as long.
		born, known := created[o.Username]
		switch {
		case known && born.After(in.f.Usage.From):
			v.fail(o.CredentialID, facts.EvidenceUse, "a token of %s was used from %s, of whose issue there is no record, and there are records from before the account was made", o.Username, o.Source)
		case longest > 0 && o.First.Sub(in.f.Usage.From) > longest:
			v.fail(o.CredentialID, facts.EvidenceUse, "a token of %s was used from %s, of whose issue there is no record, and no token lives for as long as the records reach back before it", o.Username, o.Source)
		default:
			v.unknown("whether tokens were issued before the records of use begin (%s), such as one of %s", in.f.Usage.From.Format(time.DateTime), o.Username)
		}
	}
	v.pass(facts.EvidenceUse, "the issue of every token that was used is recorded")
}

// longestToken is how long a token of a ServiceAccount lives at most; 0 where nothing limits that.
func (in *input) longestToken() time.Duration {
	longest := time.Duration(0)
	for _, s := range in.known {
		limit := s.Flags.Duration("service-account-max-token-expiration", 0)
		if limit == 0 || s.Flags.Bool("service-account-extend-token-expiration", true) {
			return 0
		}
		longest = max(longest, limit)
	}
	return longest
}

func orReason(text string) string {
	if text == "" {
		return "nobody said that they are"
	}
	return text
}
