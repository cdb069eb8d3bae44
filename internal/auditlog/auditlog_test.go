package auditlog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/auditlog"
)

type object = map[string]any

// noon is when the logs of these tests begin.
func noon() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// event is one as a real API server writes it, with what a test changes.
func event(after time.Duration, user, id string, change object) object {
	e := object{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete", "verb": "get",
		"user":      object{"username": user, "groups": []string{"system:authenticated"}},
		"sourceIPs": []string{"198.51.100.7", "10.0.0.1"}, "userAgent": "kubectl/v1.37.2",
		"objectRef":      object{"resource": "pods", "namespace": "ci", "name": "a"},
		"responseStatus": object{"code": 200}, "requestReceivedTimestamp": noon().Add(after).Format("2006-01-02T15:04:05.000000Z"),
	}
	if id != "" {
		e["user"].(object)["extra"] = object{"authentication.kubernetes.io/credential-id": []string{id}}
	}
	maps.Copy(e, change)
	return e
}

func lines(t *testing.T, events ...object) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, e := range events {
		if err := json.NewEncoder(&b).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func read(t *testing.T, log []byte) *auditlog.Record {
	t.Helper()
	var r auditlog.Record
	if err := r.Read(t.Context(), bytes.NewReader(log), nil); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestUses(t *testing.T) {
	t.Parallel()

	const account = "system:serviceaccount:ci:deployer"
	r := read(t, lines(t,
		event(0, "alice", "X509SHA256=aa", object{"stage": "RequestReceived"}),
		event(0, "alice", "X509SHA256=aa", nil),
		event(time.Hour, "alice", "X509SHA256=aa", object{"verb": "delete", "responseStatus": object{"code": 403}, "sourceIPs": []string{"10.0.0.2"}}),
		event(2*time.Hour, account, "JTI=1", object{"impersonatedUser": object{"username": "bob"}}),
		event(3*time.Hour, account, "", object{"annotations": object{"authentication.k8s.io/legacy-token-manual-secret": "deployer-token"}}),
		event(4*time.Hour, "system:bootstrap:abcdef", "", object{"verb": "create", "objectRef": object{"resource": "certificatesigningrequests", "apiGroup": "certificates.k8s.io"}}),
		event(5*time.Hour, "oidc:carol", "JTI=9", object{"stage": "ResponseStarted", "verb": "watch"}),
		event(6*time.Hour, "dave", "", object{"objectRef": nil}),
		event(-time.Hour, "alice", "X509SHA256=aa", nil),
		event(7*time.Hour, "", "", object{"responseStatus": object{"code": 401, "message": "Authentication failed, attempted: bearer"}}),
	))
	type short struct {
		ID, User, Mechanism, Secret string
		Count, Denied, Places       int
		First, Last                 time.Duration
		Actions                     []string
	}
	var got []short
	for _, use := range r.Uses() {
		got = append(got, short{
			use.CredentialID, use.Username, use.Mechanism, use.Secret, use.Count, use.Denied, len(use.Places),
			use.First.Sub(noon()), use.Last.Sub(noon()), use.Actions,
		})
	}
	want := []short{
		{"X509SHA256=aa", "alice", "clientCertificate", "", 3, 1, 2, -time.Hour, time.Hour, []string{"delete pods", "get pods"}},
		{"JTI=1", account, "tokenRequest", "", 1, 0, 1, 2 * time.Hour, 2 * time.Hour, []string{"get pods"}},
		{"", account, "serviceAccountSecret", "ci/deployer-token", 1, 0, 1, 3 * time.Hour, 3 * time.Hour, []string{"get pods"}},
		{"", "system:bootstrap:abcdef", "bootstrapToken", "", 1, 0, 1, 4 * time.Hour, 4 * time.Hour, []string{"create certificates.k8s.io/certificatesigningrequests"}},
		{"JTI=9", "oidc:carol", "jwt", "", 0, 0, 0, 5 * time.Hour, 5 * time.Hour, nil},
		{"", "dave", "", "", 1, 0, 1, 6 * time.Hour, 6 * time.Hour, []string{"get path"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
	if place := r.Uses()[0].Places[0]; place.Source != "10.0.0.1" {
		t.Errorf("the source is %q, which the client may have made up; want the peer's", place.Source)
	}
	if r.Events != 9 || r.Broken != 0 || !r.HasIDs || !r.From.Equal(noon().Add(-time.Hour)) || !r.Until.Equal(noon().Add(7*time.Hour)) {
		t.Errorf("%d events, %d broken, from %v until %v", r.Events, r.Broken, r.From, r.Until)
	}
	wantFailures := []auditlog.Failure{{Source: "10.0.0.1", Attempted: "bearer", First: noon().Add(7 * time.Hour), Last: noon().Add(7 * time.Hour), Count: 1}}
	if diff := cmp.Diff(wantFailures, r.Failures()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

// TestWhoMadeWhom follows a token to the person whose certificate was approved by an administrator.
func TestWhoMadeWhom(t *testing.T) {
	t.Parallel()

	der := []byte("a certificate")
	sum := sha256.Sum256(der)
	leaf := "X509SHA256=" + hex.EncodeToString(sum[:])
	certificate := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	csr := func(subresource string) object {
		return object{"resource": "certificatesigningrequests", "apiGroup": "certificates.k8s.io", "name": "alice", "subresource": subresource}
	}
	token := func(namespace, name string) object {
		return object{"resource": "serviceaccounts", "subresource": "token", "namespace": namespace, "name": name}
	}
	issued := func(id string) object { return object{"authentication.kubernetes.io/issued-credential-id": id} }
	const robot = "system:serviceaccount:ci:robot"
	r := read(t, lines(t,
		event(0, "boss", "X509SHA256=00", object{"verb": "create", "objectRef": csr(""), "responseStatus": object{"code": 201}, "requestObject": object{"metadata": object{"name": "alice"}, "spec": object{"signerName": "kubernetes.io/kube-apiserver-client"}}}),
		event(time.Second, "boss", "X509SHA256=00", object{"verb": "update", "objectRef": csr("approval")}),
		event(2*time.Second, "system:serviceaccount:kube-system:certificate-controller", "JTI=cc", object{"verb": "update", "objectRef": csr("status"), "responseObject": object{"metadata": object{"name": "alice"}, "status": object{"certificate": certificate}}}),
		event(time.Minute, "alice", leaf, object{"verb": "create", "objectRef": token("ci", "robot"), "responseStatus": object{"code": 201}, "annotations": issued("JTI=1"), "requestObject": object{"spec": object{"expirationSeconds": 7200, "boundObjectRef": object{"kind": "Pod", "name": "p"}}}}),
		event(time.Hour, robot, "JTI=1", object{"verb": "create", "objectRef": token("ci", "helper"), "responseStatus": object{"code": 201}, "annotations": issued("JTI=2")}),
		event(time.Hour, robot, "JTI=1", object{"verb": "create", "objectRef": token("ci", "denied"), "responseStatus": object{"code": 403}}),
	))
	chain := auditlog.Chain(r.Issues(), "JTI=2")
	var got []string
	for _, one := range chain {
		got = append(got, fmt.Sprintf("%s %s for %q by %s approved by %q", one.Kind, one.CredentialID, one.For, one.By, one.ApprovedBy))
	}
	want := []string{
		`token JTI=2 for "system:serviceaccount:ci:helper" by ` + robot + ` approved by ""`,
		`token JTI=1 for "` + robot + `" by alice approved by ""`,
		`certificate ` + leaf + ` for "" by boss approved by "boss"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
	if chain[1].Lifetime != 2*time.Hour || chain[1].Bound != "Pod p" {
		t.Errorf("lifetime %v, bound to %q", chain[1].Lifetime, chain[1].Bound)
	}
	if len(r.Issues()) != 3 {
		t.Errorf("%d issues, want 3: what was refused was not issued", len(r.Issues()))
	}

	circle := []auditlog.Issue{{CredentialID: "JTI=a", ByCredential: "JTI=b"}, {CredentialID: "JTI=b", ByCredential: "JTI=a"}}
	if got := len(auditlog.Chain(circle, "JTI=a")); got != 2 {
		t.Errorf("a circle has %d links", got)
	}
}

// TestBrokenLogs: what cannot be read is counted, named without repeating it, and does not stop the rest.
func TestBrokenLogs(t *testing.T) {
	t.Parallel()

	good := lines(t, event(0, "alice", "X509SHA256=aa", nil))
	for _, row := range []struct {
		name   string
		log    []byte
		broken int
		says   string
	}{
		{"no JSON", []byte("Bearer s3cret\n"), 1, "line 1: no JSON"},
		{"another object", []byte(`{"kind":"Pod"}` + "\n"), 1, "line 1: no audit event"},
		{"a half line", good[:len(good)/2], 1, "line 1: no JSON"},
		{"empty lines", []byte("\n\n"), 0, ""},
		{"a line without an end", bytes.Repeat([]byte("x"), 17<<20), 1, "line 1: longer than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			log := append(append(bytes.Clone(row.log), '\n'), good...)
			r := read(t, log)
			if r.Broken != row.broken || !strings.HasPrefix(r.FirstBroken, row.says) || strings.Contains(r.FirstBroken, "s3cret") {
				t.Errorf("%d broken, %q", r.Broken, r.FirstBroken)
			}
			if r.Events != 1 || len(r.Uses()) != 1 {
				t.Errorf("%d events, want the good one", r.Events)
			}
		})
	}
}

func TestForms(t *testing.T) {
	t.Parallel()

	one, two := event(0, "alice", "X509SHA256=aa", nil), event(time.Hour, "bob", "", nil)
	plain := lines(t, one, two)
	var packed bytes.Buffer
	for _, part := range [][]byte{lines(t, one), lines(t, two)} {
		writer := gzip.NewWriter(&packed)
		if _, err := writer.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, log := range map[string][]byte{
		"plain": plain, "gzipped, in two members": packed.Bytes(), "a list": lines(t, object{"kind": "EventList", "items": []object{one, two}}),
		"without an end of line": bytes.TrimSpace(plain),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := read(t, log); r.Events != 2 || len(r.Uses()) != 2 {
				t.Errorf("%d events, %d uses", r.Events, len(r.Uses()))
			}
		})
	}
}

// TestStops: an error of the log and an end of the context are told, and nothing hangs.
func TestStops(t *testing.T) {
	t.Parallel()

	lost := errors.New("the disk is gone")
	good := lines(t, event(0, "alice", "", nil))
	var r auditlog.Record
	if err := r.Read(t.Context(), io.MultiReader(bytes.NewReader(good), iotest.ErrReader(lost)), nil); !errors.Is(err, lost) || r.Events != 1 {
		t.Errorf("error %v after %d events", err, r.Events)
	}
	packed := []byte{0x1f, 0x8b, 0, 0}
	if err := r.Read(t.Context(), bytes.NewReader(packed), nil); err == nil {
		t.Error("a broken archive was read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	endless := readerFunc(func(p []byte) (int, error) {
		cancel()
		return copy(p, good), nil
	})
	if err := r.Read(ctx, endless, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// FuzzRead: no log makes the reader fail, and no body gets into what is kept.
func FuzzRead(f *testing.F) {
	for _, e := range []object{
		event(0, "alice", "X509SHA256=aa", nil),
		event(0, "", "", object{"responseStatus": object{"code": 401, "message": "Authentication failed, attempted: x509, bearer"}}),
		event(0, "system:serviceaccount:a:b", "JTI=1", object{"verb": "create", "objectRef": object{"resource": "serviceaccounts", "subresource": "token", "namespace": "a", "name": "b"}, "responseStatus": object{"code": 201}, "requestObject": object{"spec": object{"expirationSeconds": 1 << 62}}, "responseObject": object{"status": object{"token": "never-keep-this"}}}),
		event(0, "a", "", object{"verb": "update", "objectRef": object{"resource": "certificatesigningrequests", "name": "x"}, "responseObject": object{"metadata": object{"name": "x"}, "status": object{"certificate": "LS0tLS1CRUdJTg=="}}}),
	} {
		text, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, log []byte) {
		var r auditlog.Record
		err := r.Read(t.Context(), bytes.NewReader(log), nil)
		if err == nil && r.Events > 0 && r.From.After(r.Until) {
			t.Errorf("from %v until %v", r.From, r.Until)
		}
		issues := r.Issues()
		for _, use := range r.Uses() {
			if use.First.After(use.Last) {
				t.Errorf("used from %v until %v", use.First, use.Last)
			}
			auditlog.Chain(issues, use.CredentialID)
		}
		for _, issue := range issues {
			if issue.Lifetime < 0 {
				t.Errorf("a lifetime of %v", issue.Lifetime)
			}
		}
		if shown := fmt.Sprintf("%+v", r); strings.Contains(shown, "never-keep-this") {
			t.Error("a token was kept")
		}
	})
}

// BenchmarkRead reads events of the usual size from many credentials.
func BenchmarkRead(b *testing.B) {
	var log bytes.Buffer
	for i := range 20_000 {
		e := event(time.Duration(i)*time.Second, fmt.Sprintf("system:serviceaccount:ns-%d:default", i%3000), fmt.Sprintf("JTI=%036d", i%10_000), object{"requestURI": "/api/v1/namespaces/ns/pods/" + strings.Repeat("p", 500)})
		if err := json.NewEncoder(&log).Encode(e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		var r auditlog.Record
		if err := r.Read(b.Context(), bytes.NewReader(log.Bytes()), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSilentPipe: a log that gives nothing, such as a pipe, does not keep Read from ending with its context.
func TestSilentPipe(t *testing.T) {
	t.Parallel()

	for _, begun := range []bool{false, true} {
		log, writer := io.Pipe()
		t.Cleanup(func() { _ = writer.Close() }) // ends the goroutine that reads
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if begun {
				_, _ = io.WriteString(writer, `{"kind":"Event"}`+"\n") // never fails while it is read
			}
			cancel()
		}()
		var r auditlog.Record
		if err := r.Read(ctx, log, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("begun %t: %v, want the end of the context", begun, err)
		}
	}
}
