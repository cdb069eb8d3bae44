package hardening

import (
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

func kc04() Check {
	return Check{
		ID: "KC-04", Title: "Kubeconfigs hold nothing that is over", Mechanism: Kubeconfig, Severity: report.Low, Points: []string{"G-02"},
		Evidence: []facts.Evidence{facts.EvidenceFile, facts.EvidenceExtension},
		Remedy:   "Delete what is over: kubectl config delete-context NAME, kubectl config delete-user NAME.",
		judge:    judgeKC04,
	}
}

func judgeKC04(in *input, v *verdict) {
	in.needs(v, facts.SourceKubeconfigs)
	for i := range in.f.Kubeconfigs {
		k := &in.f.Kubeconfigs[i]
		if len(k.Dangling) > 0 {
			v.warn(k.File.Path, facts.EvidenceFile, "contexts lead to a cluster or a user that is not there: %s", someOf(k.Dangling))
		}
		for j := range k.Users {
			u := &k.Users[j]
			subject := "user " + u.Name + " in " + k.File.Path
			switch {
			case u.Certificate != nil && !u.Certificate.NotAfter.After(in.now):
				v.warn(subject, facts.EvidenceFile, "the certificate ended on %s", u.Certificate.NotAfter.Format(time.DateOnly))
			case u.Token != nil && !u.Token.Expires.IsZero() && !u.Token.Expires.After(in.now):
				v.warn(subject, facts.EvidenceFile, "the token ended on %s", u.Token.Expires.Format(time.DateOnly))
			case u.Certificate != nil && in.strange(k, u.Certificate):
				v.warn(subject, facts.EvidenceExtension, "the certificate is of %s, a CA that the cluster does not believe", u.Certificate.Issuer)
			}
		}
	}
	if len(in.f.Kubeconfigs) > 0 {
		v.pass(facts.EvidenceFile, "every credential and context in kubeconfigs that were given is good")
	}
}

// strange reports whether a certificate for this cluster is of a CA that the API servers do not believe.
func (in *input) strange(k *facts.Kubeconfig, certificate *facts.Certificate) bool {
	e := in.f.Extension
	here := slices.ContainsFunc(k.Clusters, func(c facts.KubeconfigCluster) bool { return c.Server == in.f.Cluster.Server })
	if e == nil || !here || certificate.Issuer == "" {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(e.ClientCAs, e.RequestHeaderCAs), func(ca facts.Certificate) bool {
		return ca.CommonName == "" || strings.Contains(","+certificate.Issuer+",", ",CN="+ca.CommonName+",")
	})
}
