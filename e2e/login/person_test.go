package login_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/debian"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// person is somebody's account on a machine of their own: a home directory, a runtime directory, and an environment that holds
// nothing else.
type person struct {
	t             *testing.T
	at            *place
	home, runtime string
	// opened is the file in which the person's browser writes down what it was to open.
	opened string
	// stdin is what programs read; nil is nothing. more is added to the environment.
	stdin *os.File
	more  []string
}

// settle gives somebody a home.
func settle(t *testing.T, at *place) *person {
	t.Helper()
	// The name of a socket is bounded to about a hundred bytes.
	runtime, err := os.MkdirTemp("", "o") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, at: at, home: t.TempDir(), runtime: runtime}
	p.opened = filepath.Join(p.home, "opened")
	browser := filepath.Join(p.home, "browser")
	if err := errors.Join(os.WriteFile(browser, []byte("#!/bin/sh\nprintf '%s\\n' \"$1\" >> \""+p.opened+"\"\n"), 0o700), pki.WriteFile(p.opened, nil)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := p.try(binaries.KubectlOstiary, "logout", "--all", "--local"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if t.Failed() {
			if log, err := os.ReadFile(filepath.Join(runtime, "ostiary", "agent.log")); err == nil {
				t.Logf("agent:\n%s", log)
			}
		}
		_ = os.RemoveAll(runtime)
	})
	return p
}

// env is the person's whole environment.
func (p *person) env() []string {
	path := filepath.Dir(shared.paths[binaries.KubectlOstiary]) + string(os.PathListSeparator) + os.Getenv("PATH")
	return append([]string{
		"HOME=" + p.home, "XDG_RUNTIME_DIR=" + p.runtime, "PATH=" + path, "BROWSER=" + filepath.Join(p.home, "browser"), "KUBECONFIG=" + p.kubeconfig(),
		"GORACE=" + os.Getenv("GORACE"),
	}, p.more...)
}

func (p *person) kubeconfig() string { return filepath.Join(p.home, ".kube", "config") }

// contextOf is the context of a cluster.
func (p *person) contextOf(cluster string) string {
	return cluster + "@" + strings.TrimPrefix(p.at.URL, "https://")
}

// command is one of the programs, run by the person without a terminal.
func (p *person) command(ctx context.Context, program binaries.Program, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, shared.paths[program], args...)
	command.Env, command.Dir, command.WaitDelay = p.env(), p.home, time.Second
	return command
}

// try runs a program, and returns what it said and whether it succeeded.
func (p *person) try(program binaries.Program, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var out bytes.Buffer
	command := p.command(ctx, program, args...)
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err
}

// must runs a program that is to succeed.
func (p *person) must(program binaries.Program, args ...string) string {
	p.t.Helper()
	out, err := p.try(program, args...)
	if err != nil {
		p.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// fails has kubectl fail in a cluster, and say something.
func (p *person) fails(cluster, want string) {
	p.t.Helper()
	if out, err := p.try(binaries.Kubectl, "--context", p.contextOf(cluster), "get", "namespaces"); err == nil || !strings.Contains(out, want) {
		p.t.Errorf("kubectl in %s: %v\n%s\nwant it to fail with %q", cluster, err, out, want)
	}
}

// kubectl runs kubectl in a cluster.
func (p *person) kubectl(cluster string, args ...string) string {
	p.t.Helper()
	return p.must(binaries.Kubectl, append([]string{"--context", p.contextOf(cluster)}, args...)...)
}

// said collects what a program says while it runs, for those who wait for a word of it.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newSaid() *said { return &said{more: make(chan struct{}, 1)} }

// Write implements io.Writer.
func (s *said) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(data)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// wait returns the first match of an expression's group.
func (s *said) wait(t *testing.T, expression string) string {
	t.Helper()
	matcher := regexp.MustCompile(expression)
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	for {
		if found := matcher.FindStringSubmatch(s.String()); found != nil {
			return found[1]
		}
		select {
		case <-s.more:
		case <-timer.C:
			t.Fatalf("it never said %q:\n%s", expression, s)
		}
	}
}

// login signs the person in; drive is given what login says, and does what the person does.
func (p *person) login(drive func(*said), args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), deadline)
	defer cancel()
	command := p.command(ctx, binaries.KubectlOstiary, append([]string{"login", "--server", p.at.URL, "--certificate-authority", p.at.caFile}, args...)...)
	text, out := newSaid(), new(bytes.Buffer)
	command.Stderr, command.Stdout = text, out
	if p.stdin != nil {
		command.Stdin = p.stdin
	}
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	drive(text)
	if err := command.Wait(); err != nil {
		p.t.Fatalf("login: %v\n%s", err, text)
	}
	return out.String()
}

// signIn signs the person in with a browser.
func (p *person) signIn(args ...string) string {
	p.t.Helper()
	return p.login(func(text *said) { p.browse(text.wait(p.t, `(https://\S+/authorize\S+)`), "", "You are signed in") },
		append([]string{"--flow", "code", "--no-browser"}, args...)...)
}

// browse opens an address in a real browser, signs in there, and waits for what the last page says. code is typed in where the
// page asks for one that it does not have yet. It returns where the browser ended; with an empty last, that is wherever the sign-in
// leads, also where nobody answers.
func (p *person) browse(address, code, last string) (ended string) {
	p.t.Helper()
	chromium, err := debian.Program(p.t.Context(), os.Stderr, "chromium", []string{"chromium", "fonts-dejavu-core"}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	profile := p.t.TempDir() // apart from the home that is searched for secrets: what a browser keeps is its own
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.UserDataDir(profile), chromedp.Env("HOME="+profile),
		chromedp.Flag("ignore-certificate-errors", true), // the provider's CA is not among the browser's
	)
	ctx, cancel := context.WithTimeout(p.t.Context(), deadline)
	defer cancel()
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	defer stop()
	ctx, end := chromedp.NewContext(ctx)
	defer end()
	fill := []chromedp.Action[chromedp.Void]{chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(`input[name="username"]`))}
	if code != "" {
		fill = append(fill, chromedp.SendKeys(chromedp.CSS(`input[name="user_code"]`), code))
	}
	fill = append(fill, chromedp.SendKeys(chromedp.CSS(`input[name="username"]`), jane), chromedp.SendKeys(chromedp.CSS(`input[name="password"]`), password), chromedp.Click(chromedp.CSS(`button`)))
	if err := chromedp.Do(ctx, fill...); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
	if last == "" {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !strings.HasPrefix(ended, "http://127.0.0.1:") && ctx.Err() == nil {
			<-tick.C
			// Of a page that does not load, the history alone has the address.
			if history, err := chromedp.Run(ctx, chromedp.NavigationEntries()); err == nil && len(history.Entries) > 0 {
				ended = history.Entries[len(history.Entries)-1].URL
			}
		}
		return ended
	}
	if err := chromedp.Do(ctx, chromedp.WaitVisible(`//h1[text()="`+last+`"]`)); err != nil {
		page, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(`body`))) // for the message only
		p.t.Fatalf("browser: no page says %q: %v\n%s", last, err, page)
	}
	return ""
}

// run runs a program of the test's own.
func run(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
