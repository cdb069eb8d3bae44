package accesslog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/accesslog"
)

func TestLineHasTheClosedListOfFields(t *testing.T) {
	t.Parallel()
	full := accesslog.Event{
		Kind: accesslog.StreamEnd, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), RequestID: "id", Source: "10.0.0.1",
		Mechanism: "jwt", CredentialID: "JTI=1", CredentialIssuer: "https://issuer", User: "alice", UID: "7", Groups: []string{"a", "b"}, ActingAs: "bob",
		Cluster: "prod", Verb: "create", Method: "POST", APIGroup: "apps", Resource: "deployments", Subresource: "scale", Namespace: "ns", Name: "n", Path: "/p",
		IssuedID: "JTI=2", IssuedIssuer: "https://api", IssuedTo: "system:serviceaccount:ns:sa", IssuedExpires: time.Date(2026, 1, 2, 4, 4, 5, 0, time.UTC),
		Until:   time.Date(2026, 1, 2, 5, 4, 5, 0, time.UTC),
		Verdict: accesslog.Deny, Reason: "rejected", Cause: errors.New("why"), Status: 401, UpstreamStatus: 200, Duration: 1500 * time.Microsecond,
	}
	for field := range reflect.ValueOf(full).NumField() {
		if reflect.ValueOf(full).Field(field).IsZero() {
			t.Fatalf("the test leaves %s empty", reflect.TypeOf(full).Field(field).Name)
		}
	}
	want := map[string]any{
		"time": "2026-01-02T03:04:05Z", "level": "INFO", "msg": "stream_end", "request_id": "id", "source": "10.0.0.1", "verdict": "deny", "reason": "rejected",
		"mechanism": "jwt", "credential_id": "JTI=1", "credential_issuer": "https://issuer", "user": "alice", "uid": "7", "groups": []any{"a", "b"}, "acting_as": "bob",
		"cluster": "prod", "verb": "create", "method": "POST", "api_group": "apps", "resource": "deployments", "subresource": "scale", "namespace": "ns", "name": "n",
		"issued_id": "JTI=2", "issued_issuer": "https://api", "issued_to": "system:serviceaccount:ns:sa", "issued_expires": "2026-01-02T04:04:05Z",
		"path": "/p", "until": "2026-01-02T05:04:05Z", "cause": "why", "status": 401.0, "upstream_status": 200.0, "duration_ms": 1.5,
	}
	if diff := cmp.Diff(want, lines(t, full)[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	empty := lines(t, accesslog.Event{Time: full.Time})[0]
	if diff := cmp.Diff(map[string]any{"time": "2026-01-02T03:04:05Z", "level": "INFO", "msg": "", "verdict": "", "reason": "", "duration_ms": 0.0}, empty); diff != "" {
		t.Errorf("empty event (-want +got):\n%s", diff)
	}
}

func lines(t *testing.T, events ...accesslog.Event) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	w := accesslog.NewWriter(&out)
	for i := range events {
		w.Record(&events[i])
	}
	return parse(t, out.String())
}

func parse(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, one)
	}
	return all
}

// FuzzNoLineInjection is attack 14: whatever a name holds, one event is one line, and the name is in it as encoding/json
// would have it.
func FuzzNoLineInjection(f *testing.F) {
	f.Add("alice\n{\"user\":\"admin\"}", "a\x00b")
	f.Add("\u2028\r", "</script>")
	f.Add("plain", "\xff\\\"")
	f.Fuzz(func(t *testing.T, user, cause string) {
		user, cause = user[:min(len(user), 1000)], cause[:min(len(cause), 1000)]
		got := lines(t, accesslog.Event{User: user, Groups: []string{cause, user}, Cause: errors.New(cause)})
		if len(got) != 1 {
			t.Fatalf("%d lines", len(got))
		}
		want := map[string]any{"cause": cause, "groups": []string{cause, user}}
		if user != "" {
			want["user"] = user
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range parse(t, string(text))[0] {
			if diff := cmp.Diff(value, got[0][name]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// TestLongTextsAreCut: what a stranger sends must not fill the disk faster than it fills the network.
func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	for _, length := range []int{4096, 4097, 1 << 20} {
		path, _ := lines(t, accesslog.Event{Path: strings.Repeat("<", length)})[0]["path"].(string)
		if cut := strings.HasSuffix(path, "...[cut]"); cut != (length > 4096) || len(path) > 4200 {
			t.Errorf("%d bytes became %d, cut %v", length, len(path), cut)
		}
	}
}

// TestPipeWithoutReader must not hold up the start.
func TestPipeWithoutReader(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/pipe"
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := accesslog.OpenFile(path); err == nil {
		t.Error("a pipe that nobody reads was taken for a log")
	}
}

func TestFileSurvivesRotation(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/access.log"
	file, err := accesslog.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	w := accesslog.NewWriter(file)
	w.Record(&accesslog.Event{User: "before"})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		w.Record(&accesslog.Event{User: "after"})
		if content, err := os.ReadFile(path); err == nil && len(parse(t, string(content))) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the log was not opened anew")
		}
	}
	old, err := os.ReadFile(path + ".1")
	if err != nil || parse(t, string(old))[0]["user"] != "before" {
		t.Errorf("the rotated file holds %q (%v)", old, err)
	}
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/access.log"
	file, err := accesslog.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := accesslog.NewWriter(file)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				w.Record(&accesslog.Event{User: strings.Repeat("x", 5000)})
			}
		})
	}
	group.Wait()
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(parse(t, string(content))); got != 800 {
		t.Errorf("%d lines, want 800", got)
	}
}

func TestQueueLosesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	queue := accesslog.NewQueue(&out, func(err error) { t.Error(err) })
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				if _, err := queue.Write([]byte("{}\n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	_ = queue.Close()
	if got := len(parse(t, out.String())); got != 8000 {
		t.Errorf("%d lines, want 8000", got)
	}
	if _, err := queue.Write([]byte("x")); err == nil {
		t.Error("a closed queue took a write")
	}
}

// TestQueueSaysWhatItLost: a full disk must not go unnoticed, nor stop the gate.
func TestQueueSaysWhatItLost(t *testing.T) {
	t.Parallel()
	var lost error
	queue := accesslog.NewQueue(broken{}, func(err error) { lost = err })
	if _, err := queue.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	_ = queue.Close()
	if !errors.Is(lost, errBroken) {
		t.Errorf("lost %v", lost)
	}
}

var errBroken = errors.New("disk full")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func BenchmarkRecord(b *testing.B) {
	file, err := accesslog.OpenFile(b.TempDir() + "/access.log")
	if err != nil {
		b.Fatal(err)
	}
	queue := accesslog.NewQueue(file, func(err error) { b.Error(err) })
	defer func() { _ = queue.Close() }()
	w := accesslog.NewWriter(queue)
	e := accesslog.Event{Kind: accesslog.Request, Time: time.Now(), RequestID: "c0ffee00-0000-4000-8000-000000000000", Source: "10.0.0.1", Mechanism: "jwt", CredentialID: "JTI=1", User: "alice", Groups: []string{"a", "b"}, Cluster: "prod", Verb: "get", Method: "GET", Resource: "pods", Namespace: "default", Name: "a-pod", Verdict: accesslog.Allow, Reason: "accepted", Status: 200, UpstreamStatus: 200, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		w.Record(&e)
	}
}
