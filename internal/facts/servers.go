package facts

import "slices"

// Servers are the API servers, each once: one that was seen running and whose manifest was read is one, with the flags
// that it says it has and the files that its manifest's flags name. Two views are of one server if no flag of the weaker
// view contradicts the other's, and none of the other's is taken already.
func (f *Facts) Servers() []*APIServer {
	var all []*APIServer
	for _, evidence := range []Evidence{EvidenceFlagz, EvidencePod, EvidenceManifest, EvidenceKubeadm} {
		taken := map[*APIServer]bool{}
		before := len(all)
		for i := range f.APIServers {
			view := f.APIServers[i]
			if view.Evidence != evidence {
				continue
			}
			same := slices.IndexFunc(all[:before], func(s *APIServer) bool { return !taken[s] && agrees(s, &view) })
			if same < 0 {
				all = append(all, &view)
				continue
			}
			taken[all[same]] = true
			all[same].complete(&view)
		}
	}
	return all
}

// agrees reports whether every flag of the weaker view has the value that the server has.
func agrees(server, view *APIServer) bool {
	for name, values := range view.Flags {
		if have, ok := server.Flags[name]; !ok || !slices.Equal(have, values) {
			return false
		}
	}
	return true
}

// complete takes from another view what is not known yet.
func (s *APIServer) complete(view *APIServer) {
	if s.StartedAt.IsZero() {
		s.StartedAt = view.StartedAt
	}
	if len(s.Files) > 0 || len(view.Files) == 0 {
		return
	}
	program := s.Program
	*s = *view
	s.Program = program
}
