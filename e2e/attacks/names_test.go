package attacks_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// Attack 13: a group is one group, whatever it contains.
func TestAttack13GroupsWithSeparators(t *testing.T) {
	groups := []string{"dev|system:masters", "dev,system:masters", "dev;ops", "a b", "c:d", "dév", "=?utf-8?q?x?=", "%2Csystem:masters", `"quoted"`}
	token, err := mint("jane", groups...)
	if err != nil {
		t.Fatal(err)
	}
	want := append(groups, "system:authenticated")
	check := func(t *testing.T, s server) {
		t.Helper()
		if diff := cmp.Diff(want, once(t, s, nil, whoAmI("Authorization: Bearer "+token+"\r\n")).user(t).Groups); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
	}
	inEachMode(t, func(t *testing.T, m mode) { check(t, at(m.gate)) })
	t.Run("twin without the gate", func(t *testing.T) { check(t, direct()) })
}

// Attack 14: what headers and log lines cannot carry as it is, is refused and logged as one line.
func TestAttack14NamesThatDoNotTravel(t *testing.T) {
	for _, tt := range []struct {
		name, subject string
		groups        []string
	}{
		{"line feed in a group", "jane", []string{"dev\nX-Remote-Group: system:masters"}},
		{"carriage return in a group", "jane", []string{"dev\r\nsystem:masters"}},
		{"NUL in a group", "jane", []string{"dev\x00"}},
		{"leading blank makes a reserved name", "jane", []string{" system:masters"}},
		{"trailing blank", "jane", []string{"devs "}},
		{"leading tab", "jane", []string{"\tsystem:masters"}},
		{"escape", "jane", []string{"dev\x1b[2J"}},
		{"C1 control character", "jane", []string{"dev\u0085"}},
		{"line feed in a user", "jane\n{\"msg\":\"request\",\"user\":\"admin\"}", nil},
		{"leading blank in a user", " jane", nil},
		{"delete in a user", "jane\x7f", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				token, err := mint(tt.subject, tt.groups...)
				if err != nil {
					t.Fatal(err)
				}
				got := once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\n"))
				got.want(t, http.StatusUnauthorized)
				if line := logged(t, m.gate, got); line.Reason != "unforwardable_identity" || line.User != tt.subject {
					t.Errorf("the access log says %+v", line)
				}
			})
		})
	}
	t.Run("twin", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			token, err := mint("jané", "dev", "ops team")
			if err != nil {
				t.Fatal(err)
			}
			if user := once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\n")).user(t); user.Username != "jané" {
				t.Errorf("user = %q, want jané", user.Username)
			}
		})
	})
}

// Attacks 23 and 24: a reserved name is refused before anybody is asked what it may do, since the name is the right.
func TestAttacks23And24ReservedNames(t *testing.T) {
	for _, tt := range []struct {
		name, subject string
		groups        []string
	}{
		{"attack 23 masters", "", []string{"devs", "system:masters"}},
		{"attack 23 nodes", "", []string{"system:nodes"}},
		{"attack 23 authenticated", "", []string{"system:authenticated"}},
		{"attack 23 unauthenticated", "", []string{"system:unauthenticated"}},
		{"attack 23 all ServiceAccounts", "", []string{"system:serviceaccounts"}},
		{"attack 24 anything reserved", "", []string{"system:made-up"}},
		{"attack 23 a ServiceAccount", "system:serviceaccount:kube-system:x", nil},
		{"attack 23 a node", "system:node:node-1", nil},
		{"attack 23 anonymous", "system:anonymous", nil},
		{"attack 23 a component", "system:kube-controller-manager", nil},
		{"attack 23 nothing but the start", "system:", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			subject := tt.subject
			if subject == "" {
				subject = "reserved-" + strings.ToLower(rand.Text())
			}
			token, err := mint(subject, tt.groups...)
			if err != nil {
				t.Fatal(err)
			}
			inEachMode(t, func(t *testing.T, m mode) {
				// With another's name, so that a review would be needed.
				got := once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\nImpersonate-User: top\r\n"))
				got.want(t, http.StatusUnauthorized)
				if line := logged(t, m.gate, got); line.Reason != "reserved_name" || line.User != subject {
					t.Errorf("the access log says %+v", line)
				}
				once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\n")).want(t, http.StatusUnauthorized)
			})
			if asked := reviews(t, subject); len(asked) != 0 {
				t.Errorf("the API server was asked: %+v", asked)
			}
			// The twin: kube-apiserver itself takes whatever the provider says.
			if got := once(t, direct(), nil, request("GET /api", "Authorization: Bearer "+token+"\r\n")); got.status == http.StatusUnauthorized {
				t.Errorf("kube-apiserver refused it too: %s", got.body)
			}
		})
	}
	t.Run("twin", func(t *testing.T) {
		subject := "free-" + strings.ToLower(rand.Text())
		token, err := mint(subject, "devs", "System:masters", "systemmasters", "my:system:masters")
		if err != nil {
			t.Fatal(err)
		}
		inEachMode(t, func(t *testing.T, m mode) {
			once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\n")).want(t, http.StatusCreated)
			once(t, at(m.gate), nil, whoAmI("Authorization: Bearer "+token+"\r\nImpersonate-User: top\r\n")).want(t, http.StatusForbidden)
		})
		if len(reviews(t, subject)) == 0 {
			t.Error("the API server was not asked")
		}
	})
}

// Attack 24: the same holds for every mechanism, and what is allowed by name is let in.
func TestAttack24ReservedNamesOfCertificates(t *testing.T) {
	certificate, err := shared.plane.Authorities.Client.Issue(pki.Client("admin", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	list := request("GET /api/v1/namespaces/kube-system/secrets", "")
	inEachMode(t, func(t *testing.T, m mode) {
		once(t, at(m.gate), certificate, list).want(t, http.StatusUnauthorized)
	})
	t.Run("twin without the gate", func(t *testing.T) { once(t, direct(), certificate, list).want(t, http.StatusOK) })
	t.Run("twin allowed by name", func(t *testing.T) {
		g, err := start(t.Context(), requestHeader, func(config gate.Object) {
			config["authentication"].(gate.Object)["clientCertificate"].(gate.Object)["allowedSystemNames"] = []any{"system:masters"}
		})
		if err != nil {
			t.Fatal(err)
		}
		stopGate(t, g)
		once(t, at(g), certificate, list).want(t, http.StatusOK)
		node, err := shared.plane.Authorities.Client.Issue(pki.Client("system:node:node-1", "system:nodes"))
		if err != nil {
			t.Fatal(err)
		}
		once(t, at(g), node, list).want(t, http.StatusUnauthorized)
	})
}

// Attack 25: a prefix that makes reserved names of all groups lets nobody in who has any.
func TestAttack25PrefixThatMakesReservedNames(t *testing.T) {
	g, err := start(t.Context(), requestHeader, func(config gate.Object) {
		config["authentication"].(gate.Object)["jwt"] = gate.Object{"configuration": authenticationObject("system:")}
	})
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	for _, tt := range []struct {
		name   string
		groups []string
		status int
	}{
		{"masters", []string{"masters"}, http.StatusUnauthorized},
		{"nodes", []string{"devs", "nodes"}, http.StatusUnauthorized},
		{"twin without groups", nil, http.StatusCreated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := mint("jane", tt.groups...)
			if err != nil {
				t.Fatal(err)
			}
			once(t, at(g), nil, whoAmI("Authorization: Bearer "+token+"\r\n")).want(t, tt.status)
		})
	}
}
