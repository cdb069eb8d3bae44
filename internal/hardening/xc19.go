package hardening

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc19() Check {
	return Check{
		ID: "XC-19", Title: "One CA signs the clients' certificates", Mechanism: ClientCert, Severity: report.Medium, Points: []string{"G-07"},
		Evidence: []facts.Evidence{facts.EvidenceExtension, facts.EvidenceFile, facts.EvidenceObject},
		Remedy: "Finish the exchange: issue what the message counts anew under the new CA, then take the old one out of " +
			"--client-ca-file. Ostiary trusts several CAs and can distrust one at once.",
		judge: judgeXC19,
	}
}

func judgeXC19(in *input, v *verdict) {
	in.needs(v, facts.SourceExtension, facts.SourceCertificates)
	if e := in.f.Extension; e != nil {
		in.judgeClientCAs(v, "extension-apiserver-authentication", facts.EvidenceExtension, e.ClientCAs)
	}
	for _, s := range in.known {
		in.judgeClientCAs(v, s.Name, facts.EvidenceFile, s.ClientCAs)
	}
	names := []string{}
	for _, c := range in.certificates() {
		names = append(names, c.cert.CommonName)
	}
	v.pass(facts.EvidenceExtension, "one CA is believed; exchanging it cuts off %d certificates that are known%s", len(names), listed(names))
}

// judgeClientCAs says how many CAs are believed, and who depends on each.
func (in *input) judgeClientCAs(v *verdict, subject string, evidence facts.Evidence, authorities []facts.Certificate) {
	byKey := map[string]string{}
	for i := range authorities {
		byKey[authorities[i].KeyDigest] = authorities[i].CommonName
	}
	if len(byKey) < 2 { //nolint:mnd // two are one too many
		return
	}
	parts := []string{}
	for _, name := range byKey {
		depend := 0
		for _, c := range in.certificates() {
			if strings.Contains(","+c.cert.Issuer+",", ",CN="+name+",") {
				depend++
			}
		}
		parts = append(parts, fmt.Sprintf("%s (%d certificates that are known)", name, depend))
	}
	slices.Sort(parts)
	v.warn(subject, evidence, "%d CAs are believed: %s", len(parts), strings.Join(parts, ", "))
}

// listed shows names behind a colon; nothing where there are none.
func listed(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + someOf(names)
}
