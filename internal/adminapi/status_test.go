package adminapi_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/adminapi"
)

func TestParseGateStatus(t *testing.T) {
	t.Parallel()

	const head = `{"apiVersion":"ostiary.dev/v1alpha1","kind":"GateStatus"`
	full := adminapi.NewGateStatus()
	full.Version = "v0.1.0"
	full.Ready = true
	full.Caller = adminapi.Caller{
		Username: "alice", UID: "u-1", Groups: []string{"dev", "system:authenticated"}, Mechanism: "clientCertificate",
		CredentialID: "X509SHA256=9f86", CredentialNotAfter: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC),
	}
	full.Cluster = adminapi.Cluster{Name: "prod", IdentityMode: adminapi.IdentityModeRequestHeader}

	tests := []struct {
		name    string
		body    string
		want    adminapi.GateStatus
		refused bool
	}{
		{name: "empty body", body: "", refused: true},
		{name: "login page", body: "<html>sign in</html>", refused: true},
		{name: "no type", body: `{}`, refused: true},
		{name: "null", body: `null`, refused: true},
		{name: "Kubernetes Status with code 200", body: `{"apiVersion":"v1","kind":"Status","status":"Success"}`, refused: true},
		{name: "another version", body: `{"apiVersion":"ostiary.dev/v1","kind":"GateStatus"}`, refused: true},
		{name: "another kind", body: `{"apiVersion":"ostiary.dev/v1alpha1","kind":"Gate"}`, refused: true},
		{name: "ready is text", body: head + `,"ready":"true"}`, refused: true},
		{name: "time is text", body: head + `,"caller":{"credentialNotAfter":"tomorrow"}}`, refused: true},
		{name: "trailing data", body: head + `}{}`, refused: true},
		{name: "type alone is not ready", body: head + `}`, want: adminapi.NewGateStatus()},
		{name: "newer gate, unknown field", body: head + `,"store":{"fresh":true}}`, want: adminapi.NewGateStatus()},
		{
			name: "full",
			body: head + `,"version":"v0.1.0","ready":true,
				"caller":{"username":"alice","uid":"u-1","groups":["dev","system:authenticated"],"mechanism":"clientCertificate",
				"credentialID":"X509SHA256=9f86","credentialNotAfter":"2026-10-01T12:00:00Z"},
				"cluster":{"name":"prod","identityMode":"requestHeader"}}`,
			want: full,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := adminapi.ParseGateStatus([]byte(test.body))
			if refused := errors.Is(err, adminapi.ErrNotGateStatus); refused != test.refused {
				t.Fatalf("err = %v, want ErrNotGateStatus: %t", err, test.refused)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestGateStatusWithoutAnEndSaysNone(t *testing.T) {
	t.Parallel()

	body, err := json.Marshal(adminapi.NewGateStatus())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"ostiary.dev/v1alpha1","kind":"GateStatus","version":"","ready":false,` +
		`"caller":{"username":"","mechanism":""},"cluster":{"name":"","identityMode":""}}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzParseGateStatus(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"ostiary.dev/v1alpha1","kind":"GateStatus","ready":true,"caller":{"username":"alice"}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Status"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		status, err := adminapi.ParseGateStatus(body)
		if err != nil {
			if diff := cmp.Diff(adminapi.GateStatus{}, status); diff != "" {
				t.Errorf("a refused answer left something behind: %s", diff)
			}
			return
		}
		if status.APIVersion != adminapi.GroupVersion || status.Kind != adminapi.GateStatusKind {
			t.Errorf("accepted apiVersion %q, kind %q", status.APIVersion, status.Kind)
		}
	})
}
