package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func sa14() Check {
	return Check{
		ID: "SA-14", Title: "Keys of service accounts' tokens are sound and few", Mechanism: TokenSecret, Severity: report.Medium, Points: []string{"G-22"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest},
		Remedy: "Make a key (openssl ecparam -genkey -name prime256v1), sign with it (--service-account-signing-key-file), keep the " +
			"old public key in --service-account-key-file until its tokens have ended, then take it out.",
		References: []string{"CIS 1.2.22"},
		judge:      judgeSA14,
	}
}

func judgeSA14(in *input, v *verdict) {
	const leastRSA, most = 2048, 2
	for _, s := range in.servers(v) {
		switch {
		case s.Flags.Text("service-account-signing-endpoint", "") != "":
			v.unknown("the keys of %s are an external signer's (--service-account-signing-endpoint), which alone can say", s.Name)
			continue
		case len(s.Flags["service-account-key-file"]) == 0:
			v.fail(s.Name, s.Evidence, "--service-account-key-file is not set: older API servers verify tokens with the key of --tls-private-key-file then, today's do not start")
			continue
		case len(s.TokenKeys) == 0:
			in.file(v, s, "service-account-key-file")
			v.unknown("the keys by which %s verifies service accounts' tokens", s.Name)
			continue
		}
		keys := map[string]bool{}
		for _, key := range s.TokenKeys {
			keys[key.KeyDigest] = true
			if key.KeyType == "RSA" && key.KeyBits < leastRSA {
				v.fail(key.File+" on "+s.Name, facts.EvidenceFile, "the key is RSA of %d bits", key.KeyBits)
			}
		}
		if len(keys) > most {
			v.warn(s.Name, facts.EvidenceFile, "%d keys are believed: whoever has one of them makes tokens of any account", len(keys))
		}
	}
	v.pass(facts.EvidenceFile, "at most %d keys are believed, none of them short", most)
}
