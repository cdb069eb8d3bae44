package attacks_test

import (
	"net/http"
	"strings"
	"testing"
)

// Impersonation headers with two readings are refused in both modes, before anybody judges who may act as whom. The
// twin is the same request with the one header that kubectl would send.
func TestAmbiguousImpersonationHeadersAreRefused(t *testing.T) {
	asMiddle := "Impersonate-User: middle\r\n"
	for _, tt := range []struct{ name, headers string }{
		{"attack 4 group without a user", "Impersonate-Group: system:masters\r\n"},
		{"attack 4 uid without a user", "Impersonate-Uid: 42\r\n"},
		{"attack 4 extra without a user", "Impersonate-Extra-Reason: audit\r\n"},
		{"attack 9 unknown header", asMiddle + "Impersonate-Something: x\r\n"},
		{"attack 9 unknown header alone", "Impersonate-Something: x\r\n"},
		{"attack 9 no hyphen", asMiddle + "ImpersonateUser: admin\r\n"},
		{"attack 9 underscore", asMiddle + "Impersonate_User: admin\r\n"},
		{"attack 9 underscore in lower case", "impersonate_user: admin\r\n"},
		{"attack 9 nothing but the start", asMiddle + "Impersonate: admin\r\n"},
		{"attack 9 plural", asMiddle + "Impersonate-Groups: devs\r\n"},
		{"attack 9 user info", asMiddle + "Impersonate-User-Info: admin\r\n"},
		{"attack 10 empty user", "Impersonate-User:\r\n"},
		{"attack 10 empty user with a group", "Impersonate-User: \r\nImpersonate-Group: devs\r\n"},
		{"attack 10 two users", asMiddle + "Impersonate-User: top\r\n"},
		{"attack 10 the same user twice", asMiddle + "impersonate-user: middle\r\n"},
		{"attack 10 two uids", asMiddle + "Impersonate-Uid: 42\r\nImpersonate-Uid: 43\r\n"},
		{"attack 10 empty uid", asMiddle + "Impersonate-Uid:\r\n"},
		{"attack 11 bad percent encoding", asMiddle + "Impersonate-Extra-Reason%2: audit\r\n"},
		{"attack 11 percent encoding of nothing", asMiddle + "Impersonate-Extra-Reason%zz: audit\r\n"},
		{"attack 11 encoded NUL", asMiddle + "Impersonate-Extra-Reason%00: audit\r\n"},
		{"attack 11 encoded line feed", asMiddle + "Impersonate-Extra-Reason%0a: audit\r\n"},
		{"attack 11 encoded upper case", asMiddle + "Impersonate-Extra-%52eason: audit\r\n"},
		{"attack 11 encoded twice", asMiddle + "Impersonate-Extra-Reason%252fx: audit\r\n"},
		{"attack 11 one key in two spellings", asMiddle + "Impersonate-Extra-Reason: audit\r\nImpersonate-Extra-%72eason: audit\r\n"},
		{"attack 11 no key", asMiddle + "Impersonate-Extra-: audit\r\n"},
		{"attack 12 original user", asMiddle + "Impersonate-Extra-Ostiary.dev%2Foriginal-User: boss\r\n"},
		{"attack 12 original user, slash as it is encoded otherwise", asMiddle + "Impersonate-Extra-ostiary.dev%2forIginal-user: boss\r\n"},
		{"attack 12 every letter encoded", asMiddle + "Impersonate-Extra-%6f%73%74%69%61%72%79.dev%2Fx: boss\r\n"},
		{"attack 12 subdomain", asMiddle + "Impersonate-Extra-x.ostiary.dev%2fanything: boss\r\n"},
		{"attack 12 credential id", asMiddle + "Impersonate-Extra-Ostiary.dev%2Foriginal-Credential-Id: X509SHA256=00\r\n"},
		{"attack 14 tab in a user", "Impersonate-User: mid\tdle\r\n"},
		{"attack 14 control character of Unicode", "Impersonate-User: middle\u0085\r\n"},
		{"attack 14 not UTF-8", "Impersonate-User: middle\xff\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), nil, whoAmI(bearer("boss")+tt.headers))
				got.want(t, http.StatusBadRequest)
				if line := logged(t, m.gate, got); line.Verdict != "deny" || line.Reason != "malformed" || line.UpstreamStatus != 0 {
					t.Errorf("the access log says %+v", line)
				}
			})
		})
	}
	t.Run("twin", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			for _, headers := range []string{
				asMiddle, strings.ToLower(asMiddle), asMiddle + "Impersonate-Extra-Reason: audit\r\n",
				asMiddle + "Impersonate-Extra-%72eason: audit\r\n", asMiddle + "Impersonate-Uid: 42\r\nImpersonate-Group: devs\r\n",
			} {
				got := once(t, at(m.gate), nil, whoAmI(bearer("boss")+headers))
				if user := got.user(t); user.Username != "middle" {
					t.Errorf("%q: acts as %q, want middle", headers, user.Username)
				}
			}
		})
	})
}

// What net/http itself refuses, for the connection has no well-defined next request then.
func TestMalformedHeaderNamesAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, headers string }{
		{"attack 8 space in front of the colon", "X-Remote-User : admin\r\n"},
		{"attack 8 tab in front of the colon", "Impersonate-User\t: admin\r\n"},
		{"attack 8 space in front of the name", " X-Remote-User: admin\r\n"},
		{"attack 14 NUL in a value", "Impersonate-User: mid\x00dle\r\n"},
		{"attack 14 bare carriage return in a value", "Impersonate-User: middle\rX-Remote-User: admin\r\n"},
		{"attack 80 no colon", "X-Remote-User\r\n"},
		{"attack 80 empty name", ": admin\r\n"},
		{"attack 80 name that is not ASCII", "X-R\u00e9mote-User: admin\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				// The hostile line stands first: a leading blank would otherwise continue the line before.
				raw := whoAmI("")
				raw = strings.Replace(raw, "Host: ostiary\r\n", tt.headers+"Host: ostiary\r\n"+bearer("boss"), 1)
				once(t, at(m.gate), nil, raw).want(t, http.StatusBadRequest)
				raw = strings.Replace(whoAmI(""), "Host: ostiary\r\n", "X-Harmless: x\r\nHost: ostiary\r\n"+bearer("boss"), 1)
				once(t, at(m.gate), nil, raw).want(t, http.StatusCreated)
			})
		})
	}
}
