package kubectl_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/signin/signintest"
)

// browser is a program that goes to an address and follows where it is sent, as a browser does whose owner is signed in at the
// provider already.
func browser() int {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Get(os.Args[len(os.Args)-1])
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = response.Body.Close()
	return 0
}

// clientGo is a program that asks the server of a kubeconfig context who it takes the caller for, with client-go and nothing
// else: what works in it works in everything that is built on it.
func clientGo() int {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(),
		&clientcmd.ConfigOverrides{CurrentContext: os.Args[1]}).ClientConfig()
	if err == nil {
		var client *http.Client
		if client, err = rest.HTTPClientFor(config); err == nil {
			var response *http.Response
			if response, err = client.Get(config.Host + "/who"); err == nil {
				_, err = io.Copy(os.Stdout, response.Body)
			}
		}
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestSignInScripts runs every script of testdata/signin against a provider and a gate that speak the contract, with agents that
// are processes of their own.
func TestSignInScripts(t *testing.T) {
	type world struct {
		provider, other *signintest.Provider
		gate            *signintest.Gate
	}
	of := func(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "signin"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			w := &world{provider: signintest.NewProvider(t), other: signintest.NewProvider(t)}
			providers := []*signintest.Provider{w.provider}
			if strings.Contains(env.WorkDir, "several") {
				providers = append(providers, w.other)
			}
			w.gate = signintest.NewGate(t, []string{adminapi.FlowCode, adminapi.FlowDevice, adminapi.FlowPaste}, providers...)
			env.Values["world"] = w
			// The name of a socket is bounded to about a hundred bytes.
			runtime, err := os.MkdirTemp("", "o") //nolint:usetesting // see above
			if err != nil {
				return err
			}
			ca := filepath.Join(env.WorkDir, "gate-ca.crt")
			if err := os.WriteFile(ca, []byte(w.gate.Address.Authorities), 0o600); err != nil {
				return err
			}
			for name, value := range map[string]string{
				"HOME": env.WorkDir, "KUBECONFIG": filepath.Join(env.WorkDir, "kubeconfig"), "XDG_RUNTIME_DIR": runtime, "BROWSER": "browser",
				"GATE": w.gate.Address.URL, "HOST": strings.TrimPrefix(w.gate.Address.URL, "https://"), "CA": ca, "PIPELINE_TOKEN": signintest.PipelineToken,
				"GORACE": os.Getenv("GORACE"),
			} {
				env.Setenv(name, value)
			}
			env.Defer(func() {
				// An agent of a script that failed would stay.
				command := exec.Command(filepath.Join(filepath.SplitList(env.Getenv("PATH"))[0], "kubectl-ostiary"), "logout", "--all", "--local")
				command.Env = env.Vars
				if out, err := command.CombinedOutput(); err != nil {
					t.Logf("%v\n%s", err, out)
				}
				_ = os.RemoveAll(runtime)
			})
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			// provider STATE: how the provider behaves from now on.
			"provider": func(ts *testscript.TestScript, _ bool, args []string) {
				of(ts).provider.Change(func(s *signintest.State) {
					*s = map[string]signintest.State{"good": {}, "denies": {Deny: "access_denied"}, "down": {Down: true}, "disabled": {Disabled: true}}[args[0]]
				})
			},
			// gate STATE: how the gate behaves from now on. "brief" are certificates that each call renews, as they are about to end, and
			// by which the gate can be told of the end for as long as possible. "open N" waits until N sessions are open; "end" ends all.
			"gate": func(ts *testscript.TestScript, _ bool, args []string) {
				if args[0] == "open" {
					within(ts, "never "+args[1]+" open sessions", func() bool { return fmt.Sprint(len(of(ts).gate.Open())) == args[1] })
					return
				}
				if args[0] == "end" {
					of(ts).gate.End()
					return
				}
				of(ts).gate.Change(func(s *signintest.GateState) {
					*s = map[string]signintest.GateState{"good": {}, "down": {Down: true}, "brief": {Lifetime: 10 * time.Second}, "tokenless": {NoTokens: true}}[args[0]]
				})
			},
			// agree: the person types in the device code, once somebody asks.
			"agree": func(ts *testscript.TestScript, _ bool, _ []string) {
				within(ts, "nobody asks for a device code", of(ts).provider.Agree)
			},
			// plugin [interactive] [other-ca]: calls the exec plugin of the kubeconfig's current context as kubectl does; it is told
			// that a person is there, or that others vouch for the server. Its exit code is not looked at.
			"plugin": func(ts *testscript.TestScript, _ bool, args []string) {
				config, err := clientcmd.LoadFromFile(ts.Getenv("KUBECONFIG"))
				ts.Check(err)
				entry := config.Contexts[config.CurrentContext]
				cluster, plugin := config.Clusters[entry.Cluster], config.AuthInfos[entry.AuthInfo].Exec
				ca := cluster.CertificateAuthorityData
				if slices.Contains(args, "other-ca") {
					ca = of(ts).gate.Issuer()
				}
				info, err := json.Marshal(map[string]any{"apiVersion": plugin.APIVersion, "kind": "ExecCredential", "spec": map[string]any{
					"interactive": slices.Contains(args, "interactive"), "cluster": map[string]any{"server": cluster.Server, "certificate-authority-data": ca},
				}})
				ts.Check(err)
				ts.Setenv("KUBERNETES_EXEC_INFO", string(info))
				_ = ts.Exec(plugin.Command, plugin.Args...)
				ts.Setenv("KUBERNETES_EXEC_INFO", "")
			},
			// gone: fails unless the agent's socket vanishes.
			"gone": func(ts *testscript.TestScript, _ bool, _ []string) {
				within(ts, "the agent does not end", func() bool {
					_, err := os.Lstat(filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "ostiary", "agent.sock"))
					return os.IsNotExist(err)
				})
			},
		},
	})
}

// scriptPatience bounds how long a script waits for what must happen, on a machine that is busy.
const scriptPatience = 60 * time.Second

// within waits until something holds.
func within(ts *testscript.TestScript, problem string, holds func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(scriptPatience)
	for !holds() {
		if time.Now().After(deadline) {
			ts.Fatalf("%s", problem)
		}
		<-tick.C
	}
}
