package kubectl_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/cli/kubectl"
)

var update = flag.Bool("update", false, "rewrite the golden files inside the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kubectl-ostiary": func() {
			streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
			os.Exit(kubectl.Run(context.Background(), os.Args[1:], streams))
		},
		"browser":   func() { os.Exit(browser()) },
		"client-go": func() { os.Exit(clientGo()) },
	})
}

// TestScripts runs every script of testdata/script against servers that answer as an API server or a gate does. Each
// context of the scripts' kubeconfig names one way to answer.
func TestScripts(t *testing.T) {
	server := httptest.NewTLSServer(answers(t))
	t.Cleanup(server.Close)
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	stranger.Close() // Nobody listens on its port any more.

	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			kubeconfig := filepath.Join(env.WorkDir, "kubeconfig")
			env.Setenv("KUBECONFIG", kubeconfig)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("SERVER", server.URL)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			if err := writeMachine(env.WorkDir, server); err != nil {
				return err
			}
			return clientcmd.WriteToFile(newKubeconfig(server, stranger.URL), kubeconfig)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// exits is the script command "exits CODE PROGRAM ARGS...": it runs the program and fails unless it ends with CODE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

const goodToken = "a-token-that-nobody-guesses"

// newKubeconfig names a context for every way to answer, and for every way to fail before there is an answer.
func newKubeconfig(server *httptest.Server, closed string) clientcmdapi.Config {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := *clientcmdapi.NewConfig()
	config.CurrentContext = "gate"
	config.AuthInfos["alice"] = &clientcmdapi.AuthInfo{Token: goodToken}
	config.AuthInfos["nobody"] = &clientcmdapi.AuthInfo{Token: "revoked"}
	add := func(context, url string, ca []byte, user string) {
		config.Clusters[context] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: ca}
		config.Contexts[context] = &clientcmdapi.Context{Cluster: context, AuthInfo: user}
	}
	for _, way := range []string{"gate", "static", "unready", "plain", "rbac", "hostile", "login", "redirect", "broken", "half", "old", "endless", "onlooker", "weak", "forbidden"} {
		add(way, server.URL+"/"+way, ca, "alice")
	}
	add("refused", server.URL+"/gate", ca, "nobody")
	add("down", closed, ca, "alice")
	add("unknown-ca", server.URL+"/gate", nil, "alice")
	add("clear-text", strings.Replace(server.URL, "https", "http", 1), nil, "alice")
	return config
}

const (
	reviewPath  = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	versionPath = "/version"
)

// answers is an API server for every context of the kubeconfig, told apart by the first part of the path, as a gate
// tells its clusters apart.
func answers(t *testing.T) http.Handler {
	t.Helper()
	alice := authenticationv1.UserInfo{
		Username: "alice", UID: "u-1", Groups: []string{"dev", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=42"}},
	}
	static := authenticationv1.UserInfo{Username: "alice", Groups: []string{"dev"}}
	hostile := authenticationv1.UserInfo{
		Username: "eve\x1b[2J\nUsername   alice", Groups: []string{"a b", "\u202edab"},
		Extra: map[string]authenticationv1.ExtraValue{"x\ty": {"\x00"}},
	}

	mux := http.NewServeMux()
	gate := func(name string, ready bool, caller adminapi.Caller) {
		status := adminapi.NewGateStatus()
		status.Version, status.Ready, status.Caller = "v0.1.0", ready, caller
		status.Cluster = adminapi.Cluster{Name: "prod", IdentityMode: adminapi.IdentityModeRequestHeader}
		mux.HandleFunc("GET /"+name+adminapi.StatusPath, sends(http.StatusOK, status))
	}
	apiServer := func(name string, user authenticationv1.UserInfo) {
		review := authenticationv1.SelfSubjectReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"},
			Status:   authenticationv1.SelfSubjectReviewStatus{UserInfo: user},
		}
		mux.HandleFunc("POST /"+name+reviewPath, sends(http.StatusCreated, review))
		mux.HandleFunc("GET /"+name+versionPath, sends(http.StatusOK, map[string]string{"gitVersion": "v1.37.2"}))
		mux.HandleFunc("/"+name+"/", sends(http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound)))
	}

	apiServer("gate", alice)
	gate("gate", true, adminapi.Caller{
		Username: "alice", Groups: []string{"dev"}, Mechanism: "jwt", CredentialID: "JTI=42",
		CredentialNotAfter: time.Date(2125, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	apiServer("static", static)
	gate("static", true, adminapi.Caller{Username: "alice", Mechanism: "staticToken", CredentialID: "STATIC=7f"})
	apiServer("unready", alice)
	gate("unready", false, adminapi.Caller{Username: "alice", Mechanism: "jwt"})
	apiServer("plain", alice)
	apiServer("rbac", alice)
	mux.HandleFunc("GET /rbac"+adminapi.StatusPath, sends(http.StatusForbidden, failure(http.StatusForbidden, metav1.StatusReasonForbidden)))
	apiServer("half", alice)
	mux.HandleFunc("GET /half"+adminapi.StatusPath, sends(http.StatusInternalServerError, failure(http.StatusInternalServerError, metav1.StatusReasonInternalError)))
	apiServer("hostile", hostile)
	gate("hostile", true, adminapi.Caller{Username: "eve", Mechanism: "\x1b]0;owned\a"})

	serveLedger(t, mux)
	issuing(mux, "/gate")
	for _, path := range []string{adminapi.IssuePath, adminapi.RotatePath} {
		mux.HandleFunc("POST /rbac"+path, sends(http.StatusForbidden, failure(http.StatusForbidden, metav1.StatusReasonForbidden)))
	}
	mux.HandleFunc("GET /gate"+adminapi.WhoAmIPath, sends(http.StatusOK, adminapi.WhoAmI{TypeMeta: adminapi.TypeOf(adminapi.WhoAmIKind), Username: "alice", Session: "s-1"}))
	lockouts(mux, "/gate")
	mux.HandleFunc("GET /rbac"+adminapi.LockoutsPath, sends(http.StatusForbidden, failure(http.StatusForbidden, metav1.StatusReasonForbidden)))
	mux.HandleFunc("GET /hostile"+adminapi.LockoutsPath, sends(http.StatusOK, adminapi.LockoutList{
		TypeMeta: adminapi.TypeOf(adminapi.LockoutListKind),
		Items:    []adminapi.Lockout{{Status: adminapi.LockoutStatus{Kind: "pair", Source: "203.0.113.7/32", CredentialID: "JTI=\x1b[2J\nl-1"}}},
	}))

	weakCluster(mux)
	mux.HandleFunc("/forbidden/", sends(http.StatusForbidden, failure(http.StatusForbidden, metav1.StatusReasonForbidden)))
	mux.HandleFunc("/login/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>sign in</html>")) })
	mux.HandleFunc("/redirect/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/gate"+strings.TrimPrefix(r.URL.Path, "/redirect"), http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/broken/", sends(http.StatusInternalServerError, failure(http.StatusInternalServerError, metav1.StatusReasonInternalError)))
	mux.HandleFunc("/old/", sends(http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound)))
	mux.HandleFunc("/endless/", func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+goodToken && !withoutCredential(r) {
			sends(http.StatusUnauthorized, failure(http.StatusUnauthorized, metav1.StatusReasonUnauthorized))(w, r)
			return
		}
		// As a real gate behind impersonation would answer: the reviewed user is the impersonated one.
		if as := r.Header.Get("Impersonate-User"); as != "" && strings.HasSuffix(r.URL.Path, reviewPath) {
			review := authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{
				UserInfo: authenticationv1.UserInfo{Username: as},
			}}
			sends(http.StatusCreated, review)(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func failure(code int32, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: fmt.Sprintf("the server says %s", reason),
	}
}

func sends(code int, object any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(object)
	}
}

// lockouts makes a gate that has locked a source out.
func lockouts(mux *http.ServeMux, prefix string) {
	lock := func(name, kind, id string) adminapi.Lockout {
		return adminapi.Lockout{
			TypeMeta: adminapi.TypeOf(adminapi.LockoutKind), Metadata: adminapi.ObjectMeta{Name: name},
			Status: adminapi.LockoutStatus{
				Kind: kind, Source: "203.0.113.7/32", CredentialID: id, Until: time.Date(2125, 1, 1, 0, 0, 0, 0, time.UTC),
			},
		}
	}
	all := []adminapi.Lockout{lock("l-00000000000000000001", "pair", "BOOTSTRAP=abcdef"), lock("l-00000000000000000002", "prefix", "")}
	mux.HandleFunc("GET "+prefix+adminapi.LockoutsPath, func(w http.ResponseWriter, r *http.Request) {
		list := adminapi.LockoutList{TypeMeta: adminapi.TypeOf(adminapi.LockoutListKind), Items: []adminapi.Lockout{}}
		if source := r.URL.Query().Get("source"); source == "" || source == "203.0.113.7" {
			list.Items = all
		}
		sends(http.StatusOK, list)(w, r)
	})
	for i, complete := range []bool{false, true} {
		one := all[i]
		mux.HandleFunc("POST "+prefix+adminapi.LockoutsPath+"/"+one.Metadata.Name+"/"+adminapi.UnlockSubresource, func(w http.ResponseWriter, r *http.Request) {
			var request adminapi.UnlockRequest
			if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Is(adminapi.UnlockRequestKind) != nil || request.Reason == "" {
				sends(http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest))(w, r)
				return
			}
			one.Status.InForce = &adminapi.InForce{Complete: complete}
			sends(http.StatusOK, one)(w, r)
		})
	}
	for _, unknown := range []string{"POST " + prefix + adminapi.LockoutsPath + "/", "GET " + prefix + adminapi.RefusalsPath + "/"} {
		mux.HandleFunc(unknown, sends(http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound)))
	}
	mux.HandleFunc("GET "+prefix+adminapi.RefusalsPath+"/7f", sends(http.StatusOK, adminapi.Refusal{
		TypeMeta: adminapi.TypeOf(adminapi.RefusalKind), Metadata: adminapi.ObjectMeta{Name: "7f", CreationTimestamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		Status: adminapi.RefusalStatus{Code: http.StatusTooManyRequests, Reason: "locked_out", Cause: "prefix 203.0.113.7/32", Source: "203.0.113.7", Lockouts: all[1:]},
	}))
}
