package attacks_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Attack 75: the gate switches to what it knows, and to nothing else.
func TestAttack75Upgrades(t *testing.T) {
	const path = "GET /api/v1/namespaces"
	for _, tt := range []struct {
		name, headers string
		status        int
	}{
		{"h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", http.StatusBadRequest},
		{"h2c in another case", "Connection: upgrade\r\nUpgrade: H2C\r\n", http.StatusBadRequest},
		{"unknown", "Connection: upgrade\r\nUpgrade: tcp\r\n", http.StatusBadRequest},
		{"TLS", "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n", http.StatusBadRequest},
		{"two in one", "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", http.StatusBadRequest},
		{"two headers", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", http.StatusBadRequest},
		{"no name", "Connection: upgrade\r\n", http.StatusBadRequest},
		{"empty name", "Connection: upgrade\r\nUpgrade:\r\n", http.StatusBadRequest},
		{"older SPDY", "Connection: upgrade\r\nUpgrade: SPDY/3\r\n", http.StatusBadRequest},
		{"connection spread over two headers", "Connection: keep-alive\r\nConnection: x, upgrade\r\nUpgrade: h2c\r\n", http.StatusBadRequest},
		{"twin without connection", "Upgrade: h2c\r\n", http.StatusOK},
		{"twin", "", http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				once(t, at(m.gate), nil, request(path, bearer("jane")+tt.headers)).want(t, tt.status)
			})
		})
	}
	t.Run("HTTP/2 with prior knowledge inside HTTP/1.1", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			if got := once(t, at(m.gate), nil, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); got.status == http.StatusOK {
				t.Errorf("status = %d, want a refusal", got.status)
			}
		})
	})
}

// Attack 76: where the API server does not switch, the connection is an ordinary one again: what follows is a request
// of its own, which needs a credential of its own.
func TestAttack76RefusedUpgradeIsNoTunnel(t *testing.T) {
	refused := strings.Replace(execRequest(bearer("jane")+"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"), podName, "nothing", 1)
	inEachMode(t, func(t *testing.T, m mode) {
		for _, tt := range []struct {
			name, follows string
			status        int
		}{
			{"as the gate", whoAmI(""), http.StatusUnauthorized},
			{"as another", whoAmI("X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nImpersonate-User: admin\r\n"), http.StatusUnauthorized},
			{"straight to the node", request("GET /exec/default/"+podName+"/main?command=id&output=1", ""), http.StatusUnauthorized},
		} {
			t.Run(tt.name, func(t *testing.T) {
				w := dial(t, at(m.gate), nil)
				w.send(t, refused).want(t, http.StatusNotFound)
				w.send(t, tt.follows).want(t, tt.status)
			})
			t.Run(tt.name+", sent at once", func(t *testing.T) {
				w := dial(t, at(m.gate), nil)
				w.send(t, refused+tt.follows).want(t, http.StatusNotFound)
				// Either the connection has ended, or the second request is one like any other.
				if got := w.send(t, ""); got.status != 0 && got.status != tt.status {
					t.Errorf("status = %d, want %d or the end", got.status, tt.status)
				}
			})
		}
		t.Run("twin", func(t *testing.T) {
			w := dial(t, at(m.gate), nil)
			w.send(t, refused).want(t, http.StatusNotFound)
			w.send(t, whoAmI(bearer("jane"))).want(t, http.StatusCreated)
		})
	})
}

// Attack 77: a redirect is the client's to follow, or not.
func TestAttack77RedirectsAreNotFollowed(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		got := once(t, at(m.gate), nil, request("GET /debug/pprof", bearer("jane")))
		got.want(t, http.StatusFound)
		if location := got.header.Get("Location"); location != "/debug/pprof/" {
			t.Errorf("location = %q", location)
		}
		if uri := audited(t, got).RequestURI; uri != "/debug/pprof" {
			t.Errorf("the API server saw %q", uri)
		}
		once(t, at(m.gate), nil, request("GET /debug/pprof/", bearer("jane"))).want(t, http.StatusOK)
	})
}

// Attack 78: what is decided upon is what is forwarded, byte for byte, and comes out as without the gate.
func TestAttack78Paths(t *testing.T) {
	for _, target := range []string{
		"/api/", "/api/v1/", "/api//v1", "/./api", "/api/./v1", "/api/../api", "/../api", "/api/..", "/%2e%2e/api", "/api/%2e%2e/api",
		"/api%2fv1", "/api%5cv1", "/api%5Cv1", "/api;x=y/v1", "/api/v1;x", "/api/v1%3Fwatch=1", "/api/v1%23x", "/api/v1?x=%zz",
		"/api/v1/namespaces/default/pods/..%2f..%2fkube-system", "/api/v1/namespaces/default/pods/%2e%2e", "/api/v1/namespaces/%00",
		"/livez/../api/v1/namespaces", "/livez%2f..%2fapi", "/livez/", "/LIVEZ", "/livez%00", "/version/../api", "/api/v1/namespaces?",
		"/api/v1/namespaces/default/pods/" + podName + "/proxy/..%2f..%2f", "/apis/../../etc/passwd", "/a\"b", "/a|b", "/a^b", "/%C3%A4", "/%c3%a4", "/api/v1/n%61mespaces",
	} {
		t.Run(target, func(t *testing.T) {
			raw := request("GET "+target, bearer("jane"))
			want := once(t, direct(), nil, raw)
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), nil, raw)
				got.want(t, want.status)
				if want.header.Get("Audit-Id") == "" {
					return
				}
				if got, want := audited(t, got), audited(t, want); got.RequestURI != want.RequestURI || got.Verb != want.Verb {
					t.Errorf("the API server saw %s %q, without the gate %s %q", got.Verb, got.RequestURI, want.Verb, want.RequestURI)
				}
				// Without a credential none of them is anonymous' own path.
				once(t, at(m.gate), nil, request("GET "+target, "")).want(t, http.StatusUnauthorized)
			})
		})
	}
	for _, target := range []string{
		"https://127.0.0.1/api", "http://metadata/api", "HTTPS://x/api", "*", "api", "?x", "//evil/a\"b", "/%zz", "/%", "/api%2", "https:/api", "/\\evil",
	} {
		t.Run("refused "+target, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), nil, request("GET "+target, bearer("jane")))
				if target == "/\\evil" { // one reading only: a backslash is a byte like any other
					got.want(t, once(t, direct(), nil, request("GET "+target, bearer("jane"))).status)
					return
				}
				got.want(t, http.StatusBadRequest)
			})
		})
	}
	t.Run("CONNECT", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			for _, target := range []string{"127.0.0.1:6443", "/api"} {
				once(t, at(m.gate), nil, request("CONNECT "+target, bearer("jane"))).want(t, http.StatusBadRequest)
			}
		})
	})
}

// Attack 79: the gate's records name the verb that the API server decides by.
func TestAttack79Verbs(t *testing.T) {
	const namespaces = "/api/v1/namespaces"
	for _, start := range []string{
		"GET " + namespaces, "GET " + namespaces + "/default", "HEAD " + namespaces, "HEAD " + namespaces + "/default", "OPTIONS " + namespaces,
		"POST " + namespaces + "?dryRun=All", "PUT " + namespaces + "/default", "PATCH " + namespaces + "/default", "DELETE " + namespaces + "/none",
		"DELETE " + namespaces, "GET " + namespaces + "?watch=false", "GET " + namespaces + "?watch=1&timeoutSeconds=1", "GET " + namespaces + "?watch=TRUE&timeoutSeconds=1",
		"GET " + namespaces + "?watch=t&timeoutSeconds=1", "GET " + namespaces + "?watch&timeoutSeconds=1", "GET " + namespaces + "?Watch=1",
		"GET " + namespaces + "?watch=0&watch=1&timeoutSeconds=1", "GET " + namespaces + "?watch=nonsense&timeoutSeconds=1", "GET /api/v1/watch/namespaces?timeoutSeconds=1",
		"GET " + namespaces + "?fieldSelector=metadata.name%3Ddefault", "GET " + namespaces + "?fieldSelector=metadata.name%3Ddefault&watch=1&timeoutSeconds=1",
		"GET " + namespaces + "/default/pods/" + podName + "/proxy/x", "POST " + namespaces + "/default/pods/" + podName + "/proxy/x",
		"GET /api/v1/proxy/namespaces/default/pods/" + podName + "/x", "GET /api/v1/nodes/node-1/proxy/metrics", "BREW " + namespaces, "get " + namespaces, "TRACE " + namespaces,
		"GET /version", "HEAD /version", "OPTIONS /version", "POST /version",
	} {
		t.Run(start, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				body := ""
				if method, _, _ := strings.Cut(start, " "); method == "POST" || method == "PUT" || method == "PATCH" {
					body = "Content-Length: 0\r\n"
				}
				got := once(t, at(m.gate), nil, request(start, bearer("jane")+body))
				event, line := audited(t, got), logged(t, m.gate, got)
				if line.Verb != event.Verb {
					t.Errorf("the access log says %q, the API server %q", line.Verb, event.Verb)
				}
				if ref := event.ObjectRef; ref != nil && (line.Resource != ref.Resource || line.Subresource != ref.Subresource || line.Namespace != ref.Namespace || line.Name != ref.Name) {
					t.Errorf("the access log says %+v, the API server %+v", line, ref)
				}
			})
		})
	}
}

// Attack 80: one request is one request.
func TestAttack80Smuggling(t *testing.T) {
	hidden := whoAmI(bearer("boss"))
	post := func(lines, body string) string {
		return request("POST "+reviewPath, "Content-Type: application/json\r\n"+bearer("jane")+lines) + body
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", len(reviewBody))
	chunked := "44\r\n" + reviewBody + "\r\n0\r\n\r\n"
	for _, tt := range []struct {
		name, raw string
		status    int
	}{
		{"two lengths that differ", post(length+"Content-Length: 0\r\n", reviewBody), http.StatusBadRequest},
		{"lengths in one header", post(strings.Replace(length, "\r\n", ", 0\r\n", 1), reviewBody), http.StatusBadRequest},
		{"length with a sign", post(strings.Replace(length, ": ", ": +", 1), reviewBody), http.StatusBadRequest},
		{"negative length", post("Content-Length: -1\r\n", reviewBody), http.StatusBadRequest},
		{"length in hexadecimal", post("Content-Length: 0x44\r\n", reviewBody), http.StatusBadRequest},
		{"unknown transfer coding", post("Transfer-Encoding: gzip, chunked\r\n", chunked), http.StatusNotImplemented},
		{"two transfer codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked), http.StatusNotImplemented},
		{"transfer coding with a tab", post("Transfer-Encoding:\tchunked x\r\n", chunked), http.StatusNotImplemented},
		{"two hosts", post("Host: other\r\n"+length, reviewBody), http.StatusBadRequest},
		{"host with a blank", strings.Replace(post(length, reviewBody), "Host: ostiary", "Host: osti ary", 1), http.StatusBadRequest},
		{"no host", strings.Replace(post(length, reviewBody), "Host: ostiary\r\n", "", 1), http.StatusBadRequest},
		{"HTTP/3.0", strings.Replace(post(length, reviewBody), "HTTP/1.1", "HTTP/3.0", 1), http.StatusHTTPVersionNotSupported},
		{"very large headers", post("X-Large: "+strings.Repeat("a", 2<<20)+"\r\n"+length, reviewBody), http.StatusRequestHeaderFieldsTooLarge},
		{"very many headers", post(strings.Repeat("X-Many: a\r\n", 200_000)+length, reviewBody), http.StatusRequestHeaderFieldsTooLarge},
		{"bare line feeds between lines", strings.ReplaceAll(post(length, ""), "\r\n", "\n") + reviewBody, http.StatusCreated},
		{"twin with a length", post(length, reviewBody), http.StatusCreated},
		{"twin in chunks", post("Transfer-Encoding: chunked\r\n", chunked), http.StatusCreated},
		{"twin with the same length twice", post(length+length, reviewBody), http.StatusCreated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) { once(t, at(m.gate), nil, tt.raw).want(t, tt.status) })
		})
	}
	// A request hidden in another's body is never answered as its own where the two lengths contradict each other.
	for _, tt := range []struct{ name, raw string }{
		{"both lengths", post(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(chunked)+len(hidden)), chunked+hidden)},
		{"chunk size with a line feed", post("Transfer-Encoding: chunked\r\n", "44\n"+reviewBody+"\r\n0\r\n\r\n"+hidden)},
		{"chunk size too large", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"+reviewBody+"\r\n0\r\n\r\n"+hidden)},
		{"chunk without its end", post("Transfer-Encoding: chunked\r\n", "44\r\n"+reviewBody+"XX0\r\n\r\n"+hidden)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				w := dial(t, at(m.gate), nil)
				first := w.send(t, tt.raw)
				if first.status == http.StatusCreated && first.user(t).Username != "jane" {
					t.Errorf("answered for %q", first.user(t).Username)
				}
				if second := w.send(t, ""); second.status != 0 {
					t.Errorf("the hidden request was answered: %d %s", second.status, second.body)
				}
			})
		})
	}
	t.Run("twin two requests in a row", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			w := dial(t, at(m.gate), nil)
			w.send(t, post(length, reviewBody)+hidden).want(t, http.StatusCreated)
			if user := w.send(t, "").user(t); user.Username != "boss" {
				t.Errorf("the second request was %q's", user.Username)
			}
		})
	})
}

// Attack 80: who sends headers slowly holds a connection for ten seconds, and no longer.
func TestAttack80SlowHeaders(t *testing.T) {
	t.Parallel()
	m := inMode(t, requestHeader)
	w := dial(t, at(m.gate), nil)
	if _, err := io.WriteString(w.conn, "GET /api HTTP/1.1\r\nHost: ostiary\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// The read returns when the gate gives up, or with the connection's deadline, which is an error of its own kind.
	if _, err := io.Copy(io.Discard, w.reader); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("the gate still waits: %v", err)
	}
}

// Attack 67: no name that the client sends chooses the cluster or changes a decision.
func TestAttack67HostsDecideNothing(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		for _, host := range []string{"evil.example", "prod.internal:443", "127.0.0.1", "[::1]:1", "none"} {
			raw := strings.Replace(whoAmI(bearer("jane")), "Host: ostiary", "Host: "+host, 1)
			got := once(t, at(m.gate), nil, raw)
			sameUser(t, jane(), got.user(t))
			if line := logged(t, m.gate, got); line.Cluster != "prod" {
				t.Errorf("host %s: the access log says %+v", host, line)
			}
		}
		config := tlsConfig(t, at(m.gate), nil)
		config.ServerName, config.InsecureSkipVerify = "another.example", true
		conn, err := dialTLS(t, at(m.gate), config)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "ostiary" {
			t.Errorf("the gate shows the certificate of %q", got)
		}
	})
}
