package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func tl02() Check {
	return Check{
		ID: "TL-02", Title: "Ciphers are those without known weakness", Mechanism: Transport, Severity: report.Medium, Points: []string{"G-30"},
		Evidence: []facts.Evidence{facts.EvidenceFlagz, facts.EvidencePod, facts.EvidenceKubeadm, facts.EvidenceManifest, facts.EvidenceBlackBox},
		Remedy: "Set --tls-min-version=VersionTLS13, or " +
			"--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256.",
		References: []string{"CIS 1.2.29"},
		judge:      judgeTL02,
	}
}

func judgeTL02(in *input, v *verdict) {
	for _, s := range in.servers(v) {
		suites := s.Flags["tls-cipher-suites"]
		var weak []string
		for _, name := range suites {
			if !soundCipher(name) {
				weak = append(weak, name)
			}
		}
		switch {
		case len(weak) > 0:
			v.fail(s.Name, s.Evidence, "--tls-cipher-suites has weak ones: %s", strings.Join(weak, ", "))
		case len(suites) == 0 && s.Flags.Text("tls-min-version", "") != "VersionTLS13":
			v.warn(s.Name, s.Evidence, "--tls-cipher-suites is not set: Go's own list for TLS 1.2 has suites in CBC mode")
		}
	}
	for i := range in.f.Handshakes {
		if h := &in.f.Handshakes[i]; h.Accepted && h.Cipher != "" && !soundCipher(h.Cipher) {
			v.fail(h.Server, facts.EvidenceBlackBox, "took %s with %s", h.Cipher, h.Offered)
		}
	}
	if in.f.Status(facts.SourceHandshake).State == facts.Unreadable {
		in.needs(v, facts.SourceHandshake)
	}
	v.pass(facts.EvidenceFlagz, "ciphers are forward secret and authenticated")
}

// soundCipher reports whether a suite has forward secrecy and authenticated encryption (RFC 9325 section 4.2).
func soundCipher(name string) bool {
	switch {
	case strings.HasPrefix(name, "TLS_AES_"), strings.HasPrefix(name, "TLS_CHACHA20_"):
		return true // TLS 1.3
	default:
		return strings.HasPrefix(name, "TLS_ECDHE_") && (strings.Contains(name, "_GCM_") || strings.Contains(name, "_CHACHA20_POLY1305"))
	}
}
