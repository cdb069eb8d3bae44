package login_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// brief is the shortest life of certificates that a gate gives.
func brief() gate.Object { return gate.Object{"lifetime": "1m"} }

// clientset is what programs that are built on client-go, such as Helm and k9s, use: the kubeconfig and nothing else. The plugin
// finds the person's agent by the environment.
func (p *person) clientset(cluster string) *kubernetes.Clientset {
	p.t.Helper()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: p.kubeconfig()},
		&clientcmd.ConfigOverrides{CurrentContext: p.contextOf(cluster)}).ClientConfig()
	if err != nil {
		p.t.Fatal(err)
	}
	config.ExecProvider.Command = shared.paths[binaries.KubectlOstiary]
	for _, variable := range p.env() {
		name, value, _ := strings.Cut(variable, "=")
		config.ExecProvider.Env = append(config.ExecProvider.Env, api.ExecEnvVar{Name: name, Value: value})
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		p.t.Fatal(err)
	}
	return client
}

// TestRenewalInTheMiddleOfAWatch has client-go watch for longer than a certificate lives: nothing is missed, and nobody is asked.
func TestRenewalInTheMiddleOfAWatch(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, brief()))
	p.signIn()
	first, last := p.watchFor(100 * time.Second)
	if first.Certificate == last.Certificate {
		t.Error("the certificate is the first one")
	}
}

// watchFor has client-go watch for a time in which what the plugin hands out is renewed. It returns what that was before and after.
func (p *person) watchFor(span time.Duration) (first, last handed) {
	p.t.Helper()
	t := p.t
	first = p.handed()
	client := p.clientset("prod")
	seen := make(chan string, 100)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace("default"))
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		seen <- object.(*corev1.ConfigMap).Name
	}}); err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	config, err := clientcmd.BuildConfigFromFlags("", shared.planes[0].AdminKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for i := 0; time.Since(begun) < span; i++ {
		name := fmt.Sprintf("watched-%d-%d", begun.Unix(), i)
		if _, err := admin.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		timer := time.NewTimer(deadline)
		for got := ""; got != name; {
			select {
			case got = <-seen:
			case <-timer.C:
				t.Fatalf("after %s the watch no longer tells of %s", time.Since(begun), name)
			}
		}
		timer.Stop()
		<-tick.C
	}
	if refreshes := p.at.provider.Refreshes(); refreshes == 0 {
		t.Error("the provider was not asked again")
	} else {
		t.Logf("%d renewals in %s", refreshes, time.Since(begun).Round(time.Second))
	}
	if opened := p.opens(); len(opened) != 0 {
		t.Error("a person was asked")
	}
	return first, p.handed()
}

// TestDisabledUser shows that whoever is disabled at the provider is out at the next renewal at the latest.
func TestDisabledUser(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, brief()))
	p.signIn()
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "jane ") {
		t.Fatal(got)
	}
	copied := p.handed()
	p.at.provider.Disable(jane)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for {
		out, err := p.try(binaries.Kubectl, "--context", p.contextOf("prod"), "get", "namespaces")
		if err != nil {
			if !strings.Contains(out, "the session has ended: "+p.at.provider.Issuer+" refused: invalid_grant") {
				t.Errorf("%v\n%s", err, out)
			}
			break
		}
		if time.Since(begun) > 70*time.Second {
			t.Fatal("still let in after the life of a certificate")
		}
		<-tick.C
	}
	t.Logf("out after %s", time.Since(begun).Round(time.Second))
	p.refused(copied)
	p.fails("test", "the session has ended")
}

// refused shows that the gate takes a certificate no more, whoever has a copy of it.
func (p *person) refused(handed handed) {
	p.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	begun := time.Now()
	for {
		status := p.status(handed)
		if status == http.StatusUnauthorized {
			return
		}
		if time.Since(begun) > 10*time.Second {
			p.t.Errorf("a copy of the certificate gets status %d", status)
			return
		}
		<-tick.C
	}
}

// get asks the gate for a path, with the certificate and the token that are there.
func (p *person) get(with handed, path string) *http.Response {
	p.t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(p.at.CA)
	if with.Certificate != "" {
		pair, err := tls.X509KeyPair([]byte(with.Certificate), []byte(with.Key))
		if err != nil {
			p.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.at.URL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if with.Token != "" {
		request.Header.Set("Authorization", "Bearer "+with.Token)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}).Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	return response
}

// status is how the gate answers to whoever shows a certificate, a token or both.
func (p *person) status(with handed) int {
	p.t.Helper()
	response := p.get(with, "/api/v1/namespaces")
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body) // the status is what counts
	return response.StatusCode
}

// TestLogout shows that the gate takes nothing of the session any more when logout returns, that an open watch has ended, and that
// nothing stays behind on the machine.
func TestLogout(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, nil))
	p.signIn()
	copied := p.handed()
	if got := p.status(copied); got != http.StatusOK {
		t.Fatalf("a certificate gets status %d", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	watch := p.command(ctx, binaries.Kubectl, "--context", p.contextOf("prod"), "get", "namespaces", "--watch", "--output=name")
	text := newSaid()
	watch.Stdout, watch.Stderr = text, text
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	text.wait(t, `(namespace/kube-system)`)
	out := p.must(binaries.KubectlOstiary, "logout")
	if got := p.status(copied); got != http.StatusUnauthorized {
		t.Errorf("after logout a copy of the certificate gets status %d", got)
	}
	if !strings.Contains(out, "jane") || !strings.Contains(out, "yes") {
		t.Errorf("logout says:\n%s", out)
	}
	_ = watch.Wait() // how it ends is kubectl's affair; that it ends is what counts
	if ctx.Err() != nil {
		t.Errorf("the watch goes on:\n%s", text)
	}
	p.fails("prod", "not signed in")
	if len(p.at.provider.RefreshTokens()) != 0 {
		t.Error("the refresh token is still good at the provider")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; <-tick.C {
		if !p.hasAgent() {
			return
		}
		if time.Since(begun) > deadline {
			t.Fatal("the agent stays")
		}
	}
}

// TestProviderIsDown shows that a session goes on to the end of its certificate, and that what fails then says why.
func TestProviderIsDown(t *testing.T) {
	t.Parallel()
	at := open(t, brief())
	p := settle(t, at)
	p.signIn()
	at.provider.Interrupt()
	t.Cleanup(at.provider.Resume)
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "jane ") {
		t.Error(got)
	}
	if out, err := p.try(binaries.KubectlOstiary, "login", "--no-browser"); err == nil || !strings.Contains(out, "no good answer from "+at.provider.Issuer) {
		t.Errorf("a new sign-in: %v\n%s", err, out)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begun := time.Now(); ; <-tick.C {
		out, err := p.try(binaries.Kubectl, "--context", p.contextOf("prod"), "get", "namespaces")
		if err != nil {
			if !strings.Contains(out, "no good answer from "+at.provider.Issuer) {
				t.Errorf("%s", out)
			}
			break
		}
		if time.Since(begun) > 70*time.Second {
			t.Fatal("it never ended")
		}
	}
	at.provider.Resume()
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "jane ") {
		t.Errorf("after the provider is back: %s", got)
	}
}

// TestPipeline signs a ServiceAccount in by the token that its cluster gives it, as a pipeline finds it in a file.
func TestPipeline(t *testing.T) {
	t.Parallel()
	p := settle(t, open(t, nil))
	token := run(t, nil, shared.paths[binaries.Kubectl], "--kubeconfig", shared.planes[0].AdminKubeconfig, "create", "token", "default", "--namespace", "default")
	file := filepath.Join(p.home, "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	p.login(func(*said) {}, "--token-file", file)
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "system:serviceaccount:default:default ") {
		t.Error(got)
	}
	// Another cluster has a ServiceAccount of that name too, and it is not this one.
	p.fails("test", "You must be logged in")
	p.must(binaries.KubectlOstiary, "logout")
	// The kubeconfig and the file are enough to begin anew.
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "system:serviceaccount:default:default ") {
		t.Error(got)
	}
	if err := os.WriteFile(file, []byte("a.b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must(binaries.KubectlOstiary, "logout")
	p.fails("prod", "refused")
}
