package inventory

import (
	"fmt"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/report"
)

// Sources says of everything that may hold credentials whether it was read. What is not read is named with what would
// help; the gate's ledger alone is optional, because a cluster need not know of Ostiary.
func (inv *Inventory) Sources() []report.Source {
	f := inv.facts
	var all []report.Source
	for _, source := range []facts.Source{
		facts.SourceRBAC, facts.SourceServiceAccounts, facts.SourceTokenSecrets, facts.SourceBootstrapTokens, facts.SourceCertificates,
		facts.SourceKubeconfigs, facts.SourceCertificateFiles, facts.SourceUsage, facts.SourceExtension,
	} {
		all = append(all, inv.source(source))
	}
	all = append(all, inv.flagFiles()...)
	for _, source := range []facts.Source{facts.SourceNodes, facts.SourceConfigMaps, facts.SourceSecrets, facts.SourceKeys, facts.SourceAWSAuth, facts.SourceRoster} {
		one := inv.source(source)
		one.Optional = one.Access == report.Unread && f.Status(source).State == facts.NotAsked
		all = append(all, one)
	}
	ledger := report.Source{Name: LedgerSource, Access: report.Unread, Optional: true, Why: "the server is no Ostiary gate, or was not asked"}
	switch {
	case inv.ledger == nil:
	case inv.ledger.Problem != "":
		ledger = report.Source{Name: LedgerSource, Access: report.Unread, Why: inv.ledger.Problem}
	default:
		ledger = report.Source{Name: LedgerSource, Access: report.Read, Items: len(inv.ledger.Entries)}
	}
	return append(all, ledger)
}

// source is how reading one source of facts went.
func (inv *Inventory) source(name facts.Source) report.Source {
	status := inv.facts.Status(name)
	source := report.Source{Name: string(name), Items: status.Count, Why: status.Detail}
	if status.Needs != "" {
		source.Why = strings.TrimPrefix(source.Why+"; needed: "+status.Needs, "; ")
	}
	switch status.State {
	case facts.Read:
		source.Access = report.Read
	case facts.Partial:
		source.Access = report.Partial
	case facts.Absent:
		source.Access, source.Why = report.Off, ""
	case facts.Unreadable, facts.NotAsked:
		source.Access = report.Unread
	}
	if status.State == facts.NotAsked {
		source.Why = howToAsk(name)
	}
	if name == facts.SourceUsage && inv.facts.Usage != nil {
		source.From, source.Until = inv.facts.Usage.From, inv.facts.Usage.Until
	}
	return source
}

// howToAsk says which option asks for a source.
func howToAsk(name facts.Source) string {
	switch name {
	case facts.SourceKubeconfigs:
		return "no file was named: --kubeconfig-file, or --node on a control plane"
	case facts.SourceCertificateFiles, facts.SourceKeys:
		return "no file was named: --certificate-file, or --node on a control plane"
	case facts.SourceUsage:
		return "no audit log was named: --audit-log; without one, requested tokens, people and last use are not known"
	case facts.SourceConfigMaps:
		return "--scan-configmaps"
	case facts.SourceSecrets:
		return "--scan-secrets"
	case facts.SourceRoster:
		return "--roster"
	default:
		return "it was not asked"
	}
}

// flagFiles are the sources that the API servers' flags name: the token file, providers, the webhook.
func (inv *Inventory) flagFiles() []report.Source {
	var all []report.Source
	for _, one := range []struct {
		name, flag string
		items      func(*facts.APIServer) (int, bool)
	}{
		{"static token file", "token-auth-file", func(s *facts.APIServer) (int, bool) {
			if s.StaticTokens == nil {
				return 0, false
			}
			return len(s.StaticTokens.Entries), true
		}},
		{"OpenID Connect issuers", "authentication-config", func(s *facts.APIServer) (int, bool) {
			if s.Authentication == nil {
				return 0, false
			}
			return len(s.Authentication.Issuers), true
		}},
		{"webhook", "authentication-token-webhook-config-file", func(s *facts.APIServer) (int, bool) { return 1, s.Webhook != nil }},
	} {
		source := report.Source{Name: one.name, Access: report.Off}
		if len(inv.facts.APIServers) == 0 {
			source.Access, source.Why = report.Unread, "the API server's flags are not known: the right to get /flagz or pods in kube-system, or --manifest"
		}
		paths, read := "", 0
		byEvidence := map[facts.Evidence]int{} // one replica may have been seen in several ways
		for i := range inv.facts.APIServers {
			server := &inv.facts.APIServers[i]
			if one.flag == "authentication-config" && server.Flags.Text("oidc-issuer-url", "") != "" {
				source.Access, source.Items = report.Read, 1
			}
			if path := server.Flags.Text(one.flag, ""); path != "" {
				paths = path
				byEvidence[server.Evidence]++
				if items, ok := one.items(server); ok {
					read++
					source.Items = max(source.Items, items)
				}
			}
		}
		replicas := 0
		for _, count := range byEvidence {
			replicas = max(replicas, count)
		}
		switch {
		case paths == "":
		case read >= replicas:
			source.Access = report.Read
		case read > 0:
			source.Access, source.Why = report.Partial, fmt.Sprintf("it was read at %d of %d API servers: --manifest for each", read, replicas)
		default:
			source.Access, source.Why = report.Unread, "--"+one.flag+" names "+paths+", which was not read: --manifest or --node on the control plane"
		}
		all = append(all, source)
	}
	return all
}

// Facts are what the inventory was made of. They must not be changed.
func (inv *Inventory) Facts() *facts.Facts { return inv.facts }
