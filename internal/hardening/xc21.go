package hardening

import (
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func xc21() Check {
	return Check{
		ID: "XC-21", Title: "The keys of the CAs are guarded, and each CA has one use", Mechanism: ClientCert, Severity: report.High, Points: []string{"G-07"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceExtension},
		Remedy: "chown root and chmod 600 the key, or keep it off the node; make CAs of their own for etcd and for the " +
			"front proxy.",
		References: []string{"CIS 1.1.21", "CIS 2.7"},
		judge:      judgeXC21,
	}
}

func judgeXC21(in *input, v *verdict) {
	in.needs(v, facts.SourceKeys)
	for i := range in.f.Keys {
		k := &in.f.Keys[i]
		switch {
		case !strings.HasSuffix(k.Use, " CA"):
		case !k.HasMode:
			v.unknown("%s: this system has no permission bits", k.Path)
		case k.Mode&groupOrOthers != 0 || k.UID != 0:
			v.fail(k.Path, facts.EvidenceFile, "the key of the %s may be read by others than root (owner %d, mode %04o)", k.Use, k.UID, k.Mode)
		}
	}
	for _, s := range in.known {
		for _, pair := range []struct {
			what string
			a, b []facts.Certificate
		}{
			{"clients and for etcd", s.ClientCAs, s.EtcdCAs},
			{"the front proxy and for etcd", s.RequestHeaderCAs, s.EtcdCAs},
			{"clients and for the front proxy", s.ClientCAs, s.RequestHeaderCAs},
		} {
			if name, shared := sharedKey(pair.a, pair.b); shared {
				v.fail(s.Name, facts.EvidenceFile, "one CA (%q) signs for %s", name, pair.what)
			}
		}
	}
	v.pass(facts.EvidenceFile, "the keys of CAs are root's alone, and no CA has two uses")
}
