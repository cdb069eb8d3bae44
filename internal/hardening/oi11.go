package hardening

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func oi11() Check {
	return Check{
		ID: "OI-11", Title: "Providers' keys are fetched, and long enough", Mechanism: OIDC, Severity: report.Medium, Points: []string{"G-26"},
		Evidence: []facts.Evidence{facts.EvidenceUse, facts.EvidenceFile},
		Remedy: "Let the API server reach the provider's discovery and jwks_uri; have the provider sign with ECDSA P-256 or RSA of " +
			"2048 bits at least.",
		judge: judgeOI11,
	}
}

func judgeOI11(in *input, v *verdict) {
	const leastRSA = 2048
	in.needs(v, facts.SourceMetrics)
	fetches := map[string][]facts.KeyFetch{}
	for i := range in.f.Metrics {
		for _, fetch := range in.f.Metrics[i].KeyFetches {
			fetches[fetch.IssuerHash] = append(fetches[fetch.IssuerHash], fetch)
		}
	}
	in.eachIssuer(v, func(subject string, _ facts.Evidence, issuer *facts.Issuer) {
		all := fetches[fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(issuer.URL)))]
		if len(all) == 0 {
			v.unknown("no API server counts how fetching the keys of %s went (Kubernetes 1.37 does)", issuer.URL)
		}
		for _, fetch := range all {
			if fetch.Failed.After(fetch.Worked) {
				v.fail(subject, facts.EvidenceUse, "fetching its keys failed last, on %s: once they change, nobody can sign in", fetch.Failed.Format(time.DateTime))
			}
		}
		known := false
		for i := range in.f.KeySets {
			if in.f.KeySets[i].Issuer != issuer.URL {
				continue
			}
			known = true
			for _, key := range in.f.KeySets[i].Keys {
				if key.KeyType == "RSA" && key.KeyBits < leastRSA {
					v.fail(subject, facts.EvidenceFile, "the key %s is RSA of %d bits", key.ID, key.KeyBits)
				}
			}
		}
		if !known {
			v.unknown("how long the keys of %s are (needed: --issuer-keys %s=FILE with what its jwks_uri answers)", issuer.URL, issuer.URL)
		}
	})
	v.pass(facts.EvidenceUse, "the keys of every provider were fetched, and none is short")
}
