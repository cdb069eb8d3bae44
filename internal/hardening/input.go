package hardening

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/power"
)

// Options are what the person who asks knows better than this program.
type Options struct {
	// BreakGlass are user names whose credentials may be as strong as system:masters: those of the file in the vault.
	BreakGlass []string
	// Approvers are users who may approve certificates for clients.
	Approvers []string
}

// input is what checks look at.
type input struct {
	f       *facts.Facts
	now     time.Time
	options Options
	// known are the API servers, each once.
	known []*facts.APIServer
	// policy is what RBAC gives; made when it is first asked for.
	policy func() *power.Policy
	// grants are all bindings; likewise.
	grants func() []grant
	// admins and accounts keep what fullAdmin and strongAccount found: the same few are asked about for every Secret.
	admins   map[string]bool
	accounts map[string]string
}

func newInput(f *facts.Facts, options Options) *input {
	in := &input{f: f, now: f.CollectedAt, options: options, known: f.Servers(), admins: map[string]bool{}, accounts: map[string]string{}}
	in.policy, in.grants = sync.OnceValue(in.newPolicy), sync.OnceValue(in.allGrants)
	return in
}

// needs says that a check needs sources as a whole. What was read of them may be judged all the same.
func (in *input) needs(v *verdict, sources ...facts.Source) {
	for _, source := range sources {
		if in.f.Knows(source) {
			continue
		}
		status := in.f.Status(source)
		text := string(source) + ": "
		switch {
		case status.State == facts.NotAsked && status.Detail == "":
			text += "not looked at"
		case status.Detail != "":
			text += status.Detail
		default:
			text += "could not be read"
		}
		if status.Needs != "" {
			text += " (needed: " + status.Needs + ")"
		}
		v.unknown("%s", text)
	}
}

// servers are the API servers. That none is known is not known, rather than fine.
func (in *input) servers(v *verdict) []*facts.APIServer {
	in.needs(v, facts.SourceFlags)
	all := in.known
	if len(all) == 0 {
		v.unknown("no API server's flags are known")
	}
	return all
}

// file is the file that a flag of a server names. If it was not read, that is unknown, and the result is false.
func (*input) file(v *verdict, s *facts.APIServer, flag string) (facts.File, bool) {
	file, ok := s.File(flag)
	switch {
	case !ok:
		v.unknown("the file of --%s on %s was not looked at (needed: --manifest, on the node)", flag, s.Name)
	case file.State != facts.Read:
		problem := file.Problem
		if problem == "" {
			problem = "it is not there"
		}
		v.unknown("the file %s of --%s on %s: %s", file.Path, flag, s.Name, problem)
	default:
		return file, true
	}
	return facts.File{}, false
}

// isSystem reports whether a name is the cluster's own.
func isSystem(name string) bool { return strings.HasPrefix(name, "system:") }

// days is a number of days.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// someOf shows some of many names.
func someOf(names []string) string {
	const most = 5
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > most {
		names = append(names[:most:most], "...")
	}
	return strings.Join(names, ", ")
}

// otherKubelets says which kubelets were not looked at, where the nodes are known.
func (in *input) otherKubelets(v *verdict) {
	if others := len(in.f.Nodes) - len(in.f.Kubelets); others > 0 {
		v.unknown("the kubelets of %d of %d nodes were not looked at (needed: --kubelet-config for each)", others, len(in.f.Nodes))
	}
}
