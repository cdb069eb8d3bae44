//nolint:thelper // these are tests, only not in a test file: a failure is to name its own line, not its caller's
package scenario

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

// bothProtocols are the two ways in which kubectl streams: WebSocket, and SPDY as it did before.
func (r *run) bothProtocols(t *testing.T, test func(*testing.T, kubectl.Command)) {
	t.Helper()
	for _, protocol := range []struct {
		name, upgrade string
		env           []string
	}{
		{"WebSocket", "websocket", []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true", "KUBECTL_PORT_FORWARD_WEBSOCKETS=true"}},
		{"SPDY", "spdy/3.1", []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false"}},
	} {
		t.Run(protocol.name, func(t *testing.T) {
			before := r.Node.Upgrades(protocol.upgrade)
			test(t, r.kubectl.With(protocol.env...))
			if r.Node.Upgrades(protocol.upgrade) == before {
				t.Errorf("no stream came to the node over %s", protocol.upgrade)
			}
		})
	}
}

func (r *run) exec(t *testing.T) {
	manifest, err := r.podManifest("exec")
	if err != nil {
		t.Fatal(err)
	}
	r.mustInput(t, manifest, "apply", "-f", "-")
	r.must(t, "wait", "--for=condition=Ready", "pod/exec", "--timeout=60s")
	r.bothProtocols(t, func(t *testing.T, k kubectl.Command) {
		out, err := k.MustSucceedInput(t.Context(), strings.NewReader("from the outside"), "exec", "-i", "exec", "--", "sh", "-c", "echo got: $(cat)")
		if err != nil {
			t.Fatal(err)
		}
		if want := "got: from the outside\n"; out != want {
			t.Errorf("output = %q, want %q", out, want)
		}
		result, err := k.Run(t.Context(), "exec", "exec", "--", "sh", "-c", "echo to stderr >&2; exit 7")
		if err != nil {
			t.Fatal(err)
		}
		if result.ExitCode != 7 || !strings.Contains(result.Stderr, "to stderr") {
			t.Errorf("want exit status 7 and the standard error, got:\n%s", result)
		}
	})
	r.must(t, "delete", "pod", "exec")
}

func (r *run) attach(t *testing.T) {
	r.bothProtocols(t, func(t *testing.T, k kubectl.Command) {
		ctx := stage.Within(t)
		name := "attach-" + strings.ToLower(strings.TrimPrefix(t.Name()[strings.LastIndex(t.Name(), "/"):], "/"))
		r.pod(t, name, "sh", "-c", `while read line; do echo "heard $line"; done; echo the end`)
		session, err := k.Start(ctx, "attach", "-i", name)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Stop()
		for _, word := range []string{"one", "two"} {
			if _, err := io.WriteString(session.Stdin, word+"\n"); err != nil {
				t.Fatal(err)
			}
			if err := session.WaitFor(ctx, "heard "+word); err != nil {
				t.Fatal(err)
			}
		}
		if err := session.Stdin.Close(); err != nil {
			t.Fatal(err)
		}
		if err := session.WaitFor(ctx, "the end"); err != nil {
			t.Fatal(err)
		}
		if err := session.Wait(ctx); err != nil {
			t.Fatalf("attach ended with %v:\n%s", err, session.Output())
		}
	})
}

func (r *run) logs(t *testing.T) {
	ctx := stage.Within(t)
	r.pod(t, "logs", "sh", "-c", `echo first; while read line; do echo "logged $line"; done`)
	attached, err := r.kubectl.Start(ctx, "attach", "-i", "logs")
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Stop()
	following, err := r.kubectl.Start(ctx, "logs", "-f", "logs")
	if err != nil {
		t.Fatal(err)
	}
	defer following.Stop()
	if err := following.WaitFor(ctx, "first"); err != nil {
		t.Fatal(err)
	}
	// Each line must come while the request is under way, not at its end.
	for i := range 3 {
		line := fmt.Sprintf("line-%d", i)
		if _, err := io.WriteString(attached.Stdin, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if err := following.WaitFor(ctx, "logged "+line); err != nil {
			t.Fatal(err)
		}
	}
	if err := attached.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := following.Wait(ctx); err != nil {
		t.Fatalf("logs -f ended with %v", err)
	}
	if got := r.must(t, "logs", "logs", "--tail=1"); got != "logged line-2\n" {
		t.Errorf("last line = %q", got)
	}
}

func (r *run) portForward(t *testing.T) {
	r.pod(t, "port-forward")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader("you said "), q.Body))
	}))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port
	r.bothProtocols(t, func(t *testing.T, k kubectl.Command) {
		ctx := stage.Within(t)
		session, err := k.Start(ctx, "port-forward", "--address=127.0.0.1", "pod/port-forward", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer session.Stop()
		if err := session.WaitFor(ctx, "Forwarding from 127.0.0.1:"); err != nil {
			t.Fatal(err)
		}
		address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(session.Output())
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for _, word := range []string{"hello", "and again"} {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, strings.NewReader(word))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatalf("%v\n%s", err, session.Output())
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(body), "you said "+word; got != want {
				t.Errorf("answer = %q, want %q", got, want)
			}
		}
	})
}

func (r *run) copyFiles(t *testing.T) {
	r.pod(t, "cp")
	content := make([]byte, 1<<20)
	_, _ = rand.Read(content) // never fails
	dir := t.TempDir()
	there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
	if err := os.WriteFile(there, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r.must(t, "cp", there, "cp:copied")
	r.must(t, "cp", "cp:copied", back)
	got, err := os.ReadFile(back) //nolint:gosec // made above
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Error("the file changed on its way there and back")
	}
}

// largeBodies sends far more than any buffer holds up through exec's input, and brings as much down as the body of a plain
// response (logs) and through exec's output, and compares hashes.
func (r *run) largeBodies(t *testing.T) {
	size := stage.Count(32, 100) << 20
	ctx := stage.Within(t)
	r.pod(t, "large", "sh", "-c", fmt.Sprintf("head -c %d /dev/urandom | tee blob; cat >/dev/null", size))
	// The pod writes its log and the file at once; wait until it has all.
	r.must(t, "exec", "large", "--", "sh", "-c", fmt.Sprintf("until [ $(stat -c %%s blob) = %d ]; do sleep 0.1; done", size))

	sum := sha256.New()
	logged, err := r.kubectl.Stream(ctx, nil, sum, "logs", "large")
	if err != nil || logged.ExitCode != 0 {
		t.Fatal(err, logged)
	}
	fromLogs := hex.EncodeToString(sum.Sum(nil))
	inPod, _, _ := strings.Cut(r.must(t, "exec", "large", "--", "sha256sum", "blob"), " ")
	if fromLogs != inPod {
		t.Errorf("logs: hash = %s, in the pod %s", fromLogs, inPod)
	}

	r.bothProtocols(t, func(t *testing.T, k kubectl.Command) {
		ctx, sum := stage.Within(t), sha256.New() // each way has the time of its own
		var came counter
		result, err := k.Stream(ctx, nil, io.MultiWriter(sum, &came), "exec", "large", "--", "cat", "blob")
		if err != nil || result.ExitCode != 0 {
			t.Fatal(err, result)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != inPod {
			t.Errorf("down: hash of %d bytes = %s, of the %d in the pod %s", came, got, size, inPod)
		}
		sum = sha256.New()
		up := io.TeeReader(io.LimitReader(rand.Reader, int64(size)), sum)
		out, err := k.MustSucceedInput(ctx, up, "exec", "-i", "large", "--", "sha256sum")
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := strings.Cut(out, " ")
		if want := hex.EncodeToString(sum.Sum(nil)); got != want {
			t.Errorf("up: hash in the pod = %s, want %s", got, want)
		}
	})
}

// counter counts the bytes that are written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
