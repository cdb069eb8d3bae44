package attacks_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// Attack 83: a stream is on record, and counted, from its start.
func TestAttack83StreamsAreOnRecordFromTheirStart(t *testing.T) {
	inEachMode(t, func(t *testing.T, m mode) {
		for _, tt := range []struct{ name, raw, verb, subresource string }{
			{"watch", request("GET /api/v1/namespaces?watch=1", bearer("jane")), "watch", ""},
			{"exec", strings.Replace(execRequest(bearer("jane")+"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"), "command=echo&command=hello", "command=sleep&command=600", 1), "get", "exec"},
			{"log", request("GET /api/v1/namespaces/default/pods/"+podName+"/log?follow=true", bearer("jane")), "get", "log"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				w := dial(t, at(m.gate), nil)
				before, err := m.gate.AccessLog()
				if err != nil {
					t.Fatal(err)
				}
				old := map[string]bool{}
				for _, line := range before {
					old[line.RequestID] = true
				}
				if _, err := w.conn.Write([]byte(tt.raw)); err != nil {
					t.Fatal(err)
				}
				started, err := m.gate.WaitAccessLog(stage.Within(t), func(l gate.Line) bool { return l.Kind == "stream_start" && !old[l.RequestID] })
				if err != nil {
					t.Fatal(err)
				}
				if started.User != "jane" || started.Verb != tt.verb || started.Subresource != tt.subresource || started.Verdict != "allow" {
					t.Errorf("the access log says %+v", started)
				}
				after, err := m.gate.AccessLog()
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range after {
					if line.Kind == "stream_end" && line.RequestID == started.RequestID {
						t.Error("its end is on record while it is open")
					}
				}
				if err := w.conn.Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := m.gate.WaitAccessLog(stage.Within(t), func(l gate.Line) bool {
					return l.Kind == "stream_end" && l.RequestID == started.RequestID
				}); err != nil {
					t.Error(err)
				}
			})
		}
		t.Run("twin: an ordinary request has one line", func(t *testing.T) {
			got := once(t, at(m.gate), nil, request("GET /api/v1/namespaces", bearer("jane")))
			if line := logged(t, m.gate, got); line.Kind != "request" || line.Status != http.StatusOK {
				t.Errorf("the access log says %+v", line)
			}
		})
	})
}

// Attack 84: refusals are Status objects that keep their kinds apart and repeat nothing.
func TestAttack84Refusals(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		status    int
		reason    metav1.StatusReason
	}{
		{"wrong token", whoAmI("Authorization: Bearer s3cr3t-and-wrong\r\n"), http.StatusUnauthorized, metav1.StatusReasonUnauthorized},
		{"no credential", whoAmI(""), http.StatusUnauthorized, metav1.StatusReasonUnauthorized},
		{"token in the query", request("GET /api?access_token=s3cr3t", ""), http.StatusUnauthorized, metav1.StatusReasonUnauthorized},
		{"malformed", whoAmI(bearer("jane") + "Authorization: Bearer s3cr3t\r\n"), http.StatusBadRequest, metav1.StatusReasonBadRequest},
		{"impersonation", whoAmI(bearer("jane") + "Impersonate-User: top\r\n"), http.StatusForbidden, metav1.StatusReasonForbidden},
		{"unknown cluster", request("GET /clusters/none/api", bearer("jane")), http.StatusNotFound, metav1.StatusReasonNotFound},
		{"unknown cluster of a stranger", request("GET /clusters/none/api", ""), http.StatusUnauthorized, metav1.StatusReasonUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, m mode) {
				got := once(t, at(m.gate), nil, tt.raw)
				got.want(t, tt.status)
				var status metav1.Status
				if err := json.Unmarshal([]byte(got.body), &status); err != nil {
					t.Fatal(err)
				}
				if status.Kind != "Status" || status.Reason != tt.reason || int(status.Code) != tt.status {
					t.Errorf("status = %+v", status)
				}
				if strings.Contains(got.body, "s3cr3t") || strings.Contains(got.body, shared.tokens["jane"]) {
					t.Errorf("the answer repeats a token: %s", got.body)
				}
				content, err := json.Marshal(logged(t, m.gate, got))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(content), "s3cr3t") {
					t.Errorf("the access log repeats a token: %s", content)
				}
			})
		})
	}
	t.Run("twin", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, m mode) {
			once(t, at(m.gate), nil, request("GET /clusters/prod/api", bearer("jane"))).want(t, http.StatusOK)
		})
	})
}
