package mechanisms_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	paulaToken = "0c1f8d27e6b94a53d871f02be59c6a4437d1e80b96fa52c3"
	callerName = "asking"
)

// hashed writes a static token file, and has Ostiary hash it.
func hashed(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := pki.WriteFile(file, []byte(content)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), shared.paths[binaries.Ostiary], "config", "hash-tokens", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// TestReviewServer: an API server that knows no person asks Ostiary, in both versions, while Ostiary is killed and comes
// back (G-28).
func TestReviewServer(t *testing.T) {
	for _, version := range []string{"v1", "v1beta1"} {
		t.Run(version, func(t *testing.T) {
			callers, err := pki.NewAuthority("callers-ca")
			if err != nil {
				t.Fatal(err)
			}
			callersFile, err := callers.Write(t.TempDir(), "callers-ca")
			if err != nil {
				t.Fatal(err)
			}
			cluster, err := gate.RequestHeader(shared.plane, "plane")
			if err != nil {
				t.Fatal(err)
			}
			config := gate.Object{
				"clusters":       []any{cluster},
				"authentication": gate.Object{"staticToken": gate.Object{"file": hashed(t, paulaToken+",paula,u-1,dev\n")}},
				"groupRules":     []any{gate.Object{"name": "asked", "match": gate.Object{"clusters": []string{callerName}}, "add": []string{"asked-for"}}},
				"tokenReview": gate.Object{"callers": []any{gate.Object{
					"name": callerName, "caFiles": []string{callersFile}, "allowedNames": []string{callerName}, "mechanisms": []string{"staticToken"},
				}}},
			}
			g, err := gate.Start(t.Context(), gate.Options{Ostiary: shared.paths[binaries.Ostiary], Config: config})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := g.Stop(); err != nil {
					t.Error(err)
				}
			})
			plane := startAsking(t, g, callers, version)
			client := func(token string) func(ctx context.Context) (*authenticationv1.SelfSubjectReview, error) {
				rest, err := plane.Access().WithToken(token).REST()
				if err != nil {
					t.Fatal(err)
				}
				made := clientFor(t, rest)
				return func(ctx context.Context) (*authenticationv1.SelfSubjectReview, error) {
					return made.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
				}
			}
			ask := client(paulaToken)
			got, err := ask(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info := got.Status.UserInfo; info.Username != "paula" || info.UID != "u-1" || strings.Join(info.Groups, " ") != "dev asked-for system:authenticated" {
				t.Errorf("%+v", info)
			}
			if _, err := client(paulaToken[1:] + "0")(t.Context()); !apierrors.IsUnauthorized(err) {
				t.Errorf("a bad token: %v, want 401", err)
			}
			strangersAreNotAnswered(t, g, callers)
			hammer(t, g, config, ask)
		})
	}
}

// startAsking starts an API server whose webhook is the gate. It remembers answers for a second only.
func startAsking(t *testing.T, g *gate.Gate, callers *pki.Authority, version string) *controlplane.ControlPlane {
	t.Helper()
	certificate, err := callers.Issue(pki.Client(callerName))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	if err := (kubectl.Access{Server: g.ReviewURL, CA: g.CA}).WithCertificate(certificate).Write(file); err != nil {
		t.Fatal(err)
	}
	plane, err := controlplane.Start(t.Context(), controlplane.Options{
		Binaries: shared.paths, NoControllerManager: true, ExtraArgs: []string{
			"--authentication-token-webhook-config-file=" + file, "--authentication-token-webhook-version=" + version,
			"--authentication-token-webhook-cache-ttl=1s",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	return plane
}

// strangersAreNotAnswered is attack 44: who has no caller's certificate learns nothing, not even with a good token.
func strangersAreNotAnswered(t *testing.T, g *gate.Gate, callers *pki.Authority) {
	t.Helper()
	for name, leaf := range map[string]pki.Leaf{"another name": pki.Client("kubelet"), "for servers": pki.Server(callerName)} {
		pair, err := callers.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := (kubectl.Access{Server: strings.TrimSuffix(g.ReviewURL, "/tokenreview"), CA: g.CA}).WithCertificate(pair).REST()
		if err != nil {
			t.Fatal(err)
		}
		body := `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"` + paulaToken + `"}}`
		result := clientFor(t, rest).RESTClient().Post().AbsPath("/tokenreview").SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context())
		if raw, err := result.Raw(); err == nil || strings.Contains(string(raw), "paula") {
			t.Errorf("%s: %q %v, want a refusal", name, raw, err)
		}
	}
}

// hammer asks all the time while Ostiary is killed and started again at the same place.
func hammer(t *testing.T, g *gate.Gate, config gate.Object, ask func(context.Context) (*authenticationv1.SelfSubjectReview, error)) {
	t.Helper()
	// Its addresses must be those that the API server knows.
	config["listen"] = gate.Object{"address": strings.TrimPrefix(g.URL, "https://")}
	review, _ := config["tokenReview"].(gate.Object)
	review["address"] = strings.TrimSuffix(strings.TrimPrefix(g.ReviewURL, "https://"), "/tokenreview")
	if err := g.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var good, bad atomic.Int64
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := ask(ctx); err == nil {
					good.Add(1)
				} else if ctx.Err() == nil {
					bad.Add(1)
				}
			}
		})
	}
	stage.Await(t, "answers before", func(context.Context) bool { return good.Load() > 50 })
	if err := g.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	stage.Await(t, "refusals while it is gone", func(context.Context) bool { return bad.Load() > 0 })
	again, err := g.Process.Restart()
	if err != nil {
		t.Fatal(err)
	}
	g.Process = again
	before := good.Load()
	stage.Await(t, "answers after", func(context.Context) bool { return good.Load() > before+50 })
	stop()
	group.Wait()
	t.Logf("%d answers, %d refusals while Ostiary was away", good.Load(), bad.Load())
}
