package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc20() Check {
	return Check{
		ID: "XC-20", Title: "Client certificates are sound", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-05"},
		Evidence: []facts.Evidence{facts.EvidenceObject, facts.EvidenceFile},
		Remedy:   "Issue it anew with an ECDSA P-256 or RSA 2048 key of its own, for client authentication only.",
		judge:    judgeXC20,
	}
}

func judgeXC20(in *input, v *verdict) {
	const leastRSA = 2048
	in.needs(v, facts.SourceCertificates)
	names := map[string]string{}
	for _, c := range in.certificates() {
		switch {
		case c.cert.KeyType == "RSA" && c.cert.KeyBits < leastRSA:
			v.fail(c.where, c.evidence, "the key is RSA of %d bits", c.cert.KeyBits)
		case strings.Contains(c.cert.Signature, "SHA1") || strings.Contains(c.cert.Signature, "MD5"):
			v.fail(c.where, c.evidence, "it is signed with %s", c.cert.Signature)
		case c.cert.CA:
			v.fail(c.where, c.evidence, "it is a CA: its holder can sign certificates for anybody")
		case !c.cert.ClientAuth:
			v.fail(c.where, c.evidence, "it is not for client authentication")
		}
		if before, ok := names[c.cert.KeyDigest]; ok && before != c.cert.CommonName {
			v.fail(c.where, c.evidence, "%s and %s have one key", before, c.cert.CommonName)
		}
		names[c.cert.KeyDigest] = c.cert.CommonName
	}
	v.pass(facts.EvidenceObject, "keys, signatures and uses of all client certificates that are known are sound")
}
