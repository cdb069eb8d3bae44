package hardening

import (
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc18() Check {
	return Check{
		ID: "XC-18", Title: "TLS reaches from the client to the API server", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-10"},
		Evidence: []facts.Evidence{facts.EvidenceBlackBox, facts.EvidenceExtension},
		Remedy: "Pass TLS through at the load balancer (mode tcp), or put a gate there that verifies certificates itself; until then " +
			"client certificates do not get in by this address.",
		judge: judgeXC18,
	}
}

func judgeXC18(in *input, v *verdict) {
	in.needs(v, facts.SourceHandshake, facts.SourceExtension)
	if in.f.Extension == nil {
		return
	}
	if in.f.Knows(facts.SourceExtension) && len(in.f.Extension.ClientCAs) == 0 {
		v.na(facts.EvidenceExtension, "client certificates are not believed")
		v.offFirst = true
		return
	}
	asks, known := map[string]bool{}, []string{}
	for i := range in.f.Handshakes {
		h := &in.f.Handshakes[i]
		if !h.Accepted {
			continue
		}
		if !slices.Contains(known, h.Server) {
			known = append(known, h.Server)
		}
		asks[h.Server] = asks[h.Server] || h.AsksCertificate && in.namesOurCA(h)
	}
	if len(known) == 0 {
		v.unknown("no TLS handshake succeeded")
	}
	for _, server := range known {
		if asks[server] {
			continue
		}
		const text = "does not ask for certificates of the CA that the API servers believe: TLS ends before them"
		if len(in.certificates()) > 0 {
			v.fail(server, facts.EvidenceBlackBox, text+", and %d client certificates are known", len(in.certificates()))
		} else {
			v.warn(server, facts.EvidenceBlackBox, text)
		}
	}
	v.pass(facts.EvidenceBlackBox, "whoever answers asks for certificates of the CA that the API servers believe")
}

// namesOurCA reports whether a server asks for certificates of a CA that the API servers believe. A gate may have CAs of
// its own.
func (in *input) namesOurCA(h *facts.Handshake) bool {
	if in.f.Gate != nil && in.f.Gate.Cluster != "" || len(h.Authorities) == 0 {
		return true // a server need not say whose it wants
	}
	return slices.ContainsFunc(in.f.Extension.ClientCAs, func(ca facts.Certificate) bool {
		return ca.CommonName == "" || slices.Contains(h.Authorities, ca.CommonName)
	})
}
