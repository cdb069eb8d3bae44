package hardening

import (
	"github.com/ostiary/ostiary/internal/facts"
)

// eachTokenFile hands on every static token file that was read. Where no API server has one, that is said; where one
// could not be read, that is unknown.
func (in *input) eachTokenFile(v *verdict, judge func(*facts.APIServer, facts.File)) {
	on := false
	servers := in.servers(v)
	for _, s := range servers {
		if s.Flags.Text("token-auth-file", "") == "" {
			continue
		}
		on = true
		file, ok := in.file(v, s, "token-auth-file")
		switch {
		case ok && s.StaticTokens != nil:
			judge(s, file)
		case ok:
			v.unknown("the token file of %s", s.Name)
		}
	}
	if !on && len(servers) > 0 {
		v.na(facts.EvidenceFlagz, "no API server has a token file")
		v.offFirst = true
	}
}

// eachJoinToken hands on every join token whose values were read.
func (in *input) eachJoinToken(v *verdict, judge func(t *facts.BootstrapToken, subject string)) {
	in.needs(v, facts.SourceBootstrapTokens)
	for i := range in.f.BootstrapTokens {
		t := &in.f.BootstrapTokens[i]
		if !t.ValuesRead {
			v.unknown("the values of join tokens were not read (needed: --read-bootstrap-tokens)")
			continue
		}
		judge(t, "Secret "+t.Namespace+"/"+t.Name)
	}
}
