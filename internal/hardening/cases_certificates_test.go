package hardening_test

import (
	"github.com/ostiary/ostiary/internal/facts"
)

// certificateCases are further ones of the checks XC and AP.
func certificateCases() map[string]checkCase {
	policy := func(change func(*facts.AuditPolicy)) func(*facts.Facts) {
		return func(f *facts.Facts) { change(f.APIServers[0].AuditPolicy) }
	}
	adminConf := func(change func(*facts.KubeconfigUser)) func(*facts.Facts) {
		return func(f *facts.Facts) {
			k := facts.Kubeconfig{
				File:  facts.File{Path: "/etc/kubernetes/admin.conf", State: facts.Read},
				Users: []facts.KubeconfigUser{{Name: "kubernetes-admin", Certificate: certificate("kubernetes-admin", 365*day, "kubeadm:cluster-admins")}},
			}
			change(&k.Users[0])
			f.Kubeconfigs = append(f.Kubeconfigs, k)
		}
	}
	return map[string]checkCase{
		"XC-03": {
			fires: func(f *facts.Facts) { f.Kubeadm.CAValidity = 36500 * day },
			also:  []func(*facts.Facts){func(f *facts.Facts) { f.Kubeadm.CertificateValidity = 3650 * day }},
			quiet: func(f *facts.Facts) { f.Kubeadm.CertificateValidity, f.Kubeadm.CAValidity = 90*day, 3650*day },
		},
		"XC-06": {fires: signed(request("bob", 10*day, "idp:operators")), quiet: signed(request("bob", 10*day, "idp:nobody-binds-it"))},
		"XC-10": {
			fires: without("audit-log-path"),
			also: []func(*facts.Facts){
				policy(func(p *facts.AuditPolicy) { p.Rules[1].Level = "Metadata" }),
				policy(func(p *facts.AuditPolicy) { p.Rules = p.Rules[:1] }),
			},
			quiet: policy(func(p *facts.AuditPolicy) {
				p.Rules = append([]facts.AuditRule{{Level: "Request", Resources: []string{"certificates.k8s.io/*"}}}, facts.AuditRule{Level: "Metadata"})
			}),
		},
		"XC-17": {
			fires: adminConf(func(u *facts.KubeconfigUser) { u.EmbeddedKey = true }),
			also: []func(*facts.Facts){both(
				adminConf(func(*facts.KubeconfigUser) {}),
				used(facts.Observation{Username: "kubernetes-admin", Mechanism: "clientCertificate", CredentialID: "X509SHA256=" + fingerprint("kubernetes-admin"), Source: "10.0.0.1", Agent: person, Last: now}),
			)},
			quiet: adminConf(func(*facts.KubeconfigUser) {}), // the key is elsewhere
		},
		"XC-18": {
			fires: func(f *facts.Facts) { f.Handshakes[1].AsksCertificate, f.Handshakes[1].Authorities = false, nil },
			also: []func(*facts.Facts){
				func(f *facts.Facts) { f.Handshakes[1].Authorities = []string{"a load balancer's own"} },
				func(f *facts.Facts) {
					f.CertificateRequests, f.Kubeconfigs, f.Handshakes[1].AsksCertificate = nil, nil, false // nobody has one yet
				},
			},
			quiet: func(f *facts.Facts) {
				f.Handshakes[1].Authorities, f.Gate.Cluster = []string{"the gate's own"}, "prod"
			},
		},
		"XC-19": {
			fires: func(f *facts.Facts) { f.Extension.ClientCAs = append(f.Extension.ClientCAs, authority("old")) },
			also:  []func(*facts.Facts){func(f *facts.Facts) { f.APIServers[0].ClientCAs = append(f.APIServers[0].ClientCAs, authority("old")) }},
			quiet: func(f *facts.Facts) { f.Extension.ClientCAs = append(f.Extension.ClientCAs, f.Extension.ClientCAs[0]) },
		},
		"XC-22": {
			fires: func(f *facts.Facts) { f.Kubelets[0].RotateCertificates = false },
			also:  []func(*facts.Facts){signed(request("system:node:node-2", 3650*day))},
			quiet: signed(request("system:node:node-2", 365*day)),
		},
		"XC-23": {
			fires: func(f *facts.Facts) { f.Extension.ClientCAs[0].NotAfter = now.Add(3 * day) },
			also: []func(*facts.Facts){
				func(f *facts.Facts) { f.APIServers[0].RequestHeaderCAs[0].NotAfter = now.Add(20 * day) },
				func(f *facts.Facts) { f.APIServers[0].FrontProxy.NotAfter = now.Add(-day) },
				func(f *facts.Facts) {
					f.CertificateFiles = []facts.CertificateFile{{File: facts.File{Path: "/pki/scheduler.crt"}, Certificates: []facts.Certificate{*certificate("system:kube-scheduler", -day)}}}
				},
			},
			// A person's certificate of an hour is about to end, and that is well; so is a request's that is over.
			quiet: both(signed(request("bob", hour)), signed(request("system:node:node-2", -day))),
		},

		"AP-04": {
			fires: func(f *facts.Facts) { f.Extension.UsernameHeaders = []string{"X-Remote-User", "X-Forwarded-User"} },
			also:  []func(*facts.Facts){setFlag("requestheader-group-headers", "X-Remote-Group", "X-Groups")},
			quiet: func(f *facts.Facts) {
				f.Extension.UsernameHeaders, f.Extension.ExtraPrefixes = []string{"X-Remote-User"}, []string{"X-Remote-Extra-"}
			},
		},
		"AP-07": {
			fires: used(facts.Observation{Username: "idp:dave", Mechanism: "jwt", Source: "192.0.2.7", Agent: person, Last: now}),
			also:  []func(*facts.Facts){func(f *facts.Facts) { f.Gate.Addresses = []string{"10.9.0.2"} }},
			quiet: used(facts.Observation{Username: "system:kube-scheduler", Mechanism: "clientCertificate", Source: "10.7.7.7", Agent: "kube-scheduler/v1", Last: now}),
		},
	}
}
