// Package gate runs Ostiary itself, the built program, on free ports, and reads what it writes.
package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/jsonlines"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

const (
	// startDeadline bounds the start, with keys of issuers fetched and clusters reached, while a compiler runs beside it.
	startDeadline = 3 * time.Minute
	// stopDeadline bounds the end after SIGTERM; it must be longer than any drainTimeout that is configured. Ostiary's
	// own default is 30s.
	stopDeadline = 90 * time.Second
	// pollInterval is how often a state is asked for again.
	pollInterval = 20 * time.Millisecond
)

// Options are what one gate has that another has not.
type Options struct {
	// Ostiary is the program; required.
	Ostiary string
	// Config is the configuration. What it leaves out of apiVersion, kind, listen, admin and accessLog is filled in.
	Config Object
	// Dir takes the configuration and the logs. Empty means a temporary folder that Stop removes.
	Dir string
	// Env is added to the environment, as NAME=value.
	Env []string
	// Host is the machine that it runs on; nil means this one.
	Host Host
	// NotReady starts the gate without waiting for it to be ready: its listeners are there.
	NotReady bool
}

// Host is a machine: see package network.
type Host interface {
	// Enter moves the calling thread to it.
	Enter() error
	// DialContext connects from it.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Gate is one that runs. Its methods are safe for concurrent use, but for Reconfigure.
type Gate struct {
	// URL is where clients connect, AdminURL where probes do; the latter is empty where there is no such listener.
	URL, AdminURL string
	// ReviewURL is where API servers ask about tokens; empty where there is no such listener.
	ReviewURL string
	// CA is the PEM of what signed the gate's certificate.
	CA []byte
	// Authority signed it, for tests that give the gate another one.
	Authority *pki.Authority
	// Serving is the gate's certificate and key.
	Serving pki.Files
	// Dir holds its files, ConfigFile is its configuration.
	Dir, ConfigFile string
	// Process is the program, for signals.
	Process *process.Process

	config    Object
	accessLog string
	access    *jsonlines.Log[Line]
	ownDir    bool
	dial      func(ctx context.Context, network, address string) (net.Conn, error) // nil: from here
}

// Start starts a gate and waits until it is ready. Whoever calls it must call Stop. When the start fails, nothing is
// left running, and the error holds the end of the program's log.
func Start(ctx context.Context, options Options) (_ *Gate, err error) {
	g := &Gate{Dir: options.Dir}
	if g.Dir == "" {
		if g.Dir, err = os.MkdirTemp("", "ostiary-gate-"); err != nil {
			return nil, fmt.Errorf("start the gate: %w", err)
		}
		g.ownDir = true
	}
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("start the gate: %w", err)
		if g.Process != nil {
			err = errors.Join(fmt.Errorf("%w\n%s", err, g.Process.LogTail()), g.Process.Kill())
		}
		err = errors.Join(err, g.removeOwnDir())
	}()
	if err := g.write(options.Config); err != nil {
		return nil, err
	}
	if err := g.makeLedgerKey(ctx, options.Ostiary); err != nil {
		return nil, err
	}
	spec := process.Spec{
		Name: "ostiary", Path: options.Ostiary, Args: []string{"serve", "--config", g.ConfigFile},
		Env: append(os.Environ(), options.Env...), Dir: g.Dir, Log: filepath.Join(g.Dir, "ostiary.log"),
	}
	if options.Host != nil {
		spec.Thread, g.dial = options.Host.Enter, options.Host.DialContext
	}
	if g.Process, err = process.Start(spec); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	address, err := g.waitListening(ctx, "gate")
	if err != nil {
		return nil, err
	}
	g.URL = "https://" + address
	if g.config["tokenReview"] != nil {
		if address, err = g.waitListening(ctx, "tokenReview"); err != nil {
			return nil, err
		}
		g.ReviewURL = "https://" + address + "/tokenreview"
	}
	if g.config["admin"] == nil {
		return g, nil
	}
	if address, err = g.waitListening(ctx, "admin"); err != nil {
		return nil, err
	}
	g.AdminURL = "http://" + address
	if options.NotReady {
		return g, nil
	}
	return g, g.WaitReady(ctx)
}

// makeLedgerKey makes the key of a ledger, as an operator does, unless there is one from a start before.
func (g *Gate) makeLedgerKey(ctx context.Context, ostiary string) error {
	key := filepath.Join(g.Dir, ledgerKey)
	if _, err := os.Stat(key); err == nil || g.config["ledger"] == nil {
		return nil
	}
	output, err := exec.CommandContext(ctx, ostiary, "store", "new-key", key).CombinedOutput() //nolint:gosec // the program under test
	if err != nil {
		return fmt.Errorf("make the ledger's key: %w\n%s", err, output)
	}
	return nil
}

func (g *Gate) write(config Object) (err error) {
	if g.Authority, err = pki.NewAuthority("ostiary-serving-ca"); err != nil {
		return err
	}
	g.CA = g.Authority.PEM()
	pair, err := g.Authority.Issue(pki.Server("ostiary"))
	if err != nil {
		return err
	}
	if g.Serving, err = pair.Write(g.Dir, "serving"); err != nil {
		return err
	}
	g.accessLog = filepath.Join(g.Dir, "access.log")
	g.access = jsonlines.Open[Line](g.accessLog)
	g.ConfigFile = filepath.Join(g.Dir, "ostiary.yaml")
	return g.Reconfigure(config)
}

// Reconfigure writes another configuration over the one in force, completed as at the start. The gate takes it over by
// itself, or not: that is for the test to see.
func (g *Gate) Reconfigure(config Object) error {
	g.config = complete(config, g.Serving, g.accessLog)
	content, err := yaml.Marshal(g.config)
	if err != nil {
		return fmt.Errorf("write the gate's configuration: %w", err)
	}
	return pki.WriteFile(g.ConfigFile, content)
}

// waitListening reads a listener's address from the gate's log: ports are free ones that the system chose.
func (g *Gate) waitListening(ctx context.Context, listener string) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-g.Process.Done():
			cancel(fmt.Errorf("ostiary ended: %w", endedAs(g.Process.Err())))
		case <-ctx.Done():
		}
	}()
	line, err := jsonlines.Open[logLine](g.Process.LogFile()).Wait(ctx, func(l logLine) bool {
		return l.Message == "listening" && l.Listener == listener
	})
	if err != nil {
		return "", fmt.Errorf("wait for the %s listener: %w", listener, err)
	}
	return line.Address, nil
}

// endedAs gives a program that ended well an error all the same: it was to stay.
func endedAs(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// WaitReady waits until /readyz says yes.
func (g *Gate) WaitReady(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		status, body, err := g.Admin(ctx, "/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ticker.C:
		case <-g.Process.Done():
			return fmt.Errorf("ostiary ended instead of getting ready: %w", endedAs(g.Process.Err()))
		case <-ctx.Done():
			return fmt.Errorf("the gate did not get ready: %w; the last answer: %d %s %w", context.Cause(ctx), status, body, err)
		}
	}
}

// Admin asks the admin listener for a path: /healthz, /readyz, /metrics.
func (g *Gate) Admin(ctx context.Context, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.AdminURL+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: g.dial}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// Metrics is what Prometheus would scrape.
func (g *Gate) Metrics(ctx context.Context) (string, error) {
	status, body, err := g.Admin(ctx, "/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/metrics: status %d: %s", status, body)
	}
	return body, err
}

// Access is the gate without a credential.
func (g *Gate) Access() kubectl.Access { return kubectl.Access{Server: g.URL, CA: g.CA} }

// ClusterAccess is one of the clusters behind the gate by its name, without a credential.
func (g *Gate) ClusterAccess(cluster string) kubectl.Access {
	return kubectl.Access{Server: g.URL + "/clusters/" + cluster, CA: g.CA}
}

// AccessLogFile is the file that the access log goes to, where the configuration names no other.
func (g *Gate) AccessLogFile() string { return g.accessLog }

// AccessLog are all lines of the access log so far.
func (g *Gate) AccessLog() ([]Line, error) { return g.access.Read() }

// WaitAccessLog waits for the first line of the access log that matches.
func (g *Gate) WaitAccessLog(ctx context.Context, match func(Line) bool) (Line, error) {
	return g.access.Wait(ctx, match)
}

// WaitLog waits for the first line of the gate's own log that matches, decoded from JSON.
func (g *Gate) WaitLog(ctx context.Context, match func(Object) bool) (Object, error) {
	return jsonlines.Open[Object](g.Process.LogFile()).Wait(ctx, match)
}

// Terminate sends SIGTERM and does not wait: what follows is the drain.
func (g *Gate) Terminate() error { return g.Process.Signal(syscall.SIGTERM) }

// Stop ends the gate in good order and removes the temporary folder. It is an error when the gate has to be killed,
// ends with a failure, or has reported a data race or a crash.
func (g *Gate) Stop() error {
	begin := time.Now()
	err := g.Process.Stop(stopDeadline)
	if time.Since(begin) >= stopDeadline {
		err = errors.Join(err, fmt.Errorf("the gate did not end within %s of SIGTERM", stopDeadline))
	} else if ended := g.Process.Err(); ended != nil {
		err = errors.Join(err, fmt.Errorf("the gate ended with a failure: %w", ended))
	}
	if log, readErr := os.ReadFile(g.Process.LogFile()); readErr != nil {
		err = errors.Join(err, readErr)
	} else {
		for _, sign := range []string{"WARNING: DATA RACE", "\npanic: ", "http: panic serving"} {
			if strings.Contains(string(log), sign) {
				err = errors.Join(err, fmt.Errorf("the gate's log holds %q", strings.TrimSpace(sign)))
			}
		}
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, g.Process.LogTail())
	}
	return errors.Join(err, g.removeOwnDir())
}

// Kill ends the gate at once, as a machine that fails does, and removes the temporary folder.
func (g *Gate) Kill() error { return errors.Join(g.Process.Kill(), g.removeOwnDir()) }

func (g *Gate) removeOwnDir() error {
	if !g.ownDir {
		return nil
	}
	return os.RemoveAll(g.Dir)
}
