package attacks_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// chunkedWhoAmI is whoAmI with its body in chunks and trailers after it.
func chunkedWhoAmI(lines, trailers string) string {
	return request("POST "+reviewPath, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"+lines) +
		"44\r\n" + reviewBody + "\r\n0\r\n" + trailers + "\r\n"
}

// forged are headers that say that the caller is somebody else, and must not have any effect.
func forged() []struct{ name, headers, trailers string } {
	return []struct{ name, headers, trailers string }{
		{name: "attack 1 connection names impersonation headers", headers: "Connection: close, Impersonate-User, Impersonate-Group, Impersonate-Uid, Impersonate-Extra-X\r\n"},
		{name: "attack 1 connection names authorization", headers: "Connection: Authorization, Audit-Id, X-Forwarded-For\r\n"},
		{name: "attack 2 connection names front-proxy headers", headers: "Connection: X-Remote-User, X-Remote-Group, X-Remote-Uid\r\n"},
		{name: "attack 3 two connection headers, the first empty", headers: "Connection:\r\nConnection: X-Remote-User, Impersonate-User\r\n"},
		{name: "attack 3 two connection headers, the first a comma", headers: "Connection: ,\r\nConnection: x-remote-group, impersonate-group\r\n"},
		{name: "attack 5 front-proxy headers", headers: "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nX-Remote-Extra-Scopes: all\r\n"},
		{name: "attack 5 more than once", headers: "X-Remote-User: admin\r\nX-Remote-User: root\r\nX-Remote-Group: a\r\nX-Remote-Group: system:masters\r\n"},
		{name: "attack 6 uid alone", headers: "X-Remote-Uid: 0\r\n"},
		{name: "attack 8 case", headers: "x-remote-user: admin\r\nX-REMOTE-GROUP: system:masters\r\nx-ReMoTe-UiD: 0\r\n"},
		{name: "attack 8 underscores", headers: "X_Remote_User: admin\r\nX-Remote_User: admin\r\nX_REMOTE-GROUP: system:masters\r\n"},
		{name: "attack 8 extras of any ending", headers: "X-Remote-Extra-: a\r\nX-Remote-Extra-A%2Fb: c\r\nx_remote_extra_scopes: all\r\nX-Remote-Extra.X: y\r\n"},
		{name: "attack 12 the gate's own extras", headers: "X-Remote-Extra-Ostiary.dev%2foriginal-User: boss\r\n"},
		{name: "attack 18 forwarding headers", headers: "X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=8.8.8.8\r\nX-Real-Ip: 8.8.8.8\r\n"},
		{name: "attack 18 forwarded host, proto, uri, prefix", headers: "X-Forwarded-Host: evil\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Uri: /livez\r\nX-Forwarded-Prefix: /clusters/none\r\n"},
		{name: "attack 18 forwarding headers in lower case", headers: "x-forwarded-for: 8.8.8.8\r\nx-real-ip: 8.8.8.8\r\n"},
		{name: "attack 20 trailers", trailers: "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nImpersonate-User: admin\r\nAuthorization: Bearer x\r\n"},
		{name: "attack 20 announced trailers", headers: "Trailer: X-Remote-User, Impersonate-User, Impersonate-Group\r\nTE: trailers\r\n", trailers: "X-Remote-User: admin\r\nImpersonate-User: admin\r\nImpersonate-Group: system:masters\r\n"},
		{name: "a client that chooses its audit id", headers: "Audit-Id: 00000000-0000-0000-0000-000000000000\r\n"},
	}
}

func TestForgedHeadersHaveNoEffect(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		check := func(t *testing.T, headers, trailers string) {
			t.Helper()
			raw := whoAmI(bearer("jane") + headers)
			if trailers != "" {
				raw = chunkedWhoAmI(bearer("jane")+headers, trailers)
			}
			got := once(t, at(m.gate), nil, raw)
			user := got.user(t)
			if len(user.Extra) != 0 {
				t.Errorf("extra = %v, want none", user.Extra)
			}
			sameUser(t, jane(), user)
			m.sawAs(t, got, "jane")
			if got.header.Get("Audit-Id") == "00000000-0000-0000-0000-000000000000" {
				t.Error("the client chose its audit id")
			}
			line := logged(t, m.gate, got)
			if line.User != "jane" || line.Source != "127.0.0.1" || line.ActingAs != "" || line.Cluster != "prod" {
				t.Errorf("the access log says %+v", line)
			}
		}
		t.Run("twin", func(t *testing.T) { check(t, "", "") })
		t.Run("twin in chunks", func(t *testing.T) { check(t, "", "X-Harmless: x\r\n") })
		for _, tt := range forged() {
			t.Run(tt.name, func(t *testing.T) { check(t, tt.headers, tt.trailers) })
		}
	})
}

// A caller without a credential is not let in by any of these headers, nor is it somebody else where it is.
func TestForgedHeadersOfNobody(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		for _, tt := range forged() {
			t.Run(tt.name, func(t *testing.T) {
				raw := whoAmI(tt.headers)
				if tt.trailers != "" {
					raw = chunkedWhoAmI(tt.headers, tt.trailers)
				}
				once(t, at(m.gate), nil, raw).want(t, http.StatusUnauthorized)
				// Attack 21: paths that need no credential strip the same headers.
				got := once(t, at(m.gate), nil, request("GET /version", tt.headers))
				got.want(t, http.StatusOK)
				m.sawAs(t, got, "system:anonymous")
				for _, hidden := range []string{"/version/", "//version", "/api", "/livez/ping"} {
					once(t, at(m.gate), nil, request("GET "+hidden, tt.headers)).want(t, http.StatusUnauthorized)
				}
			})
		}
	})
}

// The twin of the above: without the gate's stripping, the API server believes each of these headers.
func TestForgedHeadersWorkWhereNothingStripsThem(t *testing.T) {
	got := once(t, direct(), shared.frontProxy, whoAmI("X-Remote-User: admin\r\nx-remote-group: system:masters\r\nX-Remote-Uid: 0\r\nX-Remote-Extra-A%2Fb: c\r\n"))
	user := got.user(t)
	if user.Username != "admin" || !slices.Contains(user.Groups, "system:masters") || user.UID != "0" || len(user.Extra["a/b"]) != 1 {
		t.Errorf("the API server took a front proxy's headers for %+v", user)
	}
	got = once(t, direct(), nil, whoAmI(bearer("jane")+"X-Forwarded-For: 8.8.8.8\r\n"))
	if event := audited(t, got); !slices.Contains(event.SourceIPs, "8.8.8.8") {
		t.Errorf("the API server saw %v, want it to believe X-Forwarded-For", event.SourceIPs)
	}
}

// Attack 18: no header moves a caller into a network.
func TestAttack18ForwardingHeadersAndNetworks(t *testing.T) {
	g, err := start(t.Context(), requestHeader, func(config gate.Object) {
		mechanisms := config["authentication"].(gate.Object)
		mechanisms["staticToken"].(gate.Object)["allowedNetworks"] = []any{"10.0.0.0/8"}
		mechanisms["jwt"].(gate.Object)["allowedNetworks"] = []any{"127.0.0.0/8"}
	})
	if err != nil {
		t.Fatal(err)
	}
	stopGate(t, g)
	for _, headers := range []string{
		"", "X-Forwarded-For: 10.0.0.1\r\n", "Forwarded: for=10.0.0.1\r\n", "X-Real-Ip: 10.0.0.1\r\n",
		"X-Forwarded-For: 127.0.0.1, 10.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n", "True-Client-Ip: 10.0.0.1\r\nX-Client-Ip: 10.0.0.1\r\n",
	} {
		t.Run("headers "+strings.TrimSpace(headers), func(t *testing.T) {
			got := once(t, at(g), nil, whoAmI(bearer("jane")+headers))
			got.want(t, http.StatusUnauthorized)
			if line := logged(t, g, got); line.Reason != "network_not_allowed" || line.Source != "127.0.0.1" {
				t.Errorf("the access log says %+v", line)
			}
		})
	}
	t.Run("twin from an allowed network", func(t *testing.T) {
		token, err := mint("jane")
		if err != nil {
			t.Fatal(err)
		}
		once(t, at(g), nil, whoAmI("Authorization: Bearer "+token+"\r\n")).want(t, http.StatusCreated)
	})
}

// stopGate stops a gate at the end of the test; a gate that ends badly fails it.
func stopGate(t *testing.T, g *gate.Gate) {
	t.Helper()
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
}
