package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/jsonlines"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

// proxy is one of the two that are compared.
type proxy struct {
	name string
	url  string
	pid  int
}

// bed is everything that a measurement needs.
type bed struct {
	dir          string
	plain, gate  proxy
	tokens       []string
	certificates []tls.Certificate
	stop         func()
}

// startTimeout bounds the start of a process.
const startTimeout = 30 * time.Second

// newBed starts the server behind, the plain proxy and the gate, and makes everybody's credentials.
func newBed(ctx context.Context, users int) (_ *bed, err error) {
	paths, err := binaries.Builder{Progress: os.Stderr}.Build(ctx, binaries.Ostiary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ostiary-bench-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &bed{dir: dir, stop: func() { cancel(); _ = os.RemoveAll(dir) }}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	authority, err := pki.NewAuthority("bench-ca")
	if err != nil {
		return nil, err
	}
	if err := b.keys(authority, users); err != nil {
		return nil, err
	}
	configuration, err := b.mint(ctx, users)
	if err != nil {
		return nil, err
	}
	server, err := role(ctx, "server", dir, "")
	if err != nil {
		return nil, err
	}
	if b.plain, err = role(ctx, "plain", dir, server.url); err != nil {
		return nil, err
	}
	b.gate, err = b.startGate(ctx, paths[binaries.Ostiary], server.url, configuration)
	return b, err
}

// keys writes the servers' and the front proxy's certificates, and makes the users'.
func (b *bed) keys(authority *pki.Authority, users int) error {
	if _, err := authority.Write(b.dir, "ca"); err != nil {
		return err
	}
	frontAuthority, err := pki.NewAuthority("bench-front-ca") // never the users' own
	if err != nil {
		return err
	}
	for _, one := range []struct {
		by   *pki.Authority
		name string
		leaf pki.Leaf
	}{{authority, serverName, pki.Server("server")}, {frontAuthority, "front", pki.Client("front-proxy")}} {
		pair, err := one.by.Issue(one.leaf)
		if err != nil {
			return err
		}
		if _, err := pair.Write(b.dir, one.name); err != nil {
			return err
		}
	}
	for n := range users {
		pair, err := authority.Issue(pki.Client(fmt.Sprintf("user-%d", n), "developers", "platform"))
		if err != nil {
			return err
		}
		b.certificates = append(b.certificates, pair.TLS())
	}
	return nil
}

// mint makes everybody's ES256 token, and the configuration by which the gate takes them.
func (b *bed) mint(ctx context.Context, users int) (map[string]any, error) {
	issuer, err := minter.Start(ctx)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = issuer.Stop() })
	if _, err := issuer.NewKey("k1", "ES256"); err != nil {
		return nil, err
	}
	for n := range users {
		token, err := issuer.Mint(minter.Token{
			Algorithm: "ES256", KeyID: "k1", Claims: issuer.Claims(fmt.Sprintf("user-%d", n), "kubernetes", "developers", "platform"),
		})
		if err != nil {
			return nil, err
		}
		b.tokens = append(b.tokens, token)
	}
	return map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"jwt": []any{map[string]any{
			"issuer": map[string]any{"url": issuer.Issuer, "audiences": []string{"kubernetes"}, "certificateAuthority": string(issuer.CA)},
			"claimMappings": map[string]any{
				"username": map[string]any{"claim": "sub", "prefix": "oidc:"},
				"groups":   map[string]any{"claim": "groups", "prefix": "oidc:"},
			},
		}},
	}, nil
}

// startGate runs Ostiary with everything on: both mechanisms with every policy, group rules, access log, metrics.
func (b *bed) startGate(ctx context.Context, path, server string, authentication map[string]any) (proxy, error) {
	policy := func(extra map[string]any) map[string]any {
		extra["allowedNetworks"] = []string{"127.0.0.0/8", "::1/128"}
		extra["maxLifetime"] = "48h"
		return extra
	}
	config, err := yaml.Marshal(map[string]any{
		"apiVersion": "ostiary.dev/v1alpha1", "kind": "Configuration",
		"listen": map[string]any{
			"address": "127.0.0.1:0", "tls": map[string]any{"certFile": serverName + ".crt", "keyFile": serverName + ".key"},
			"limits": map[string]any{"streamsPerConnection": 1000},
		},
		"admin": map[string]any{"address": "127.0.0.1:0"},
		"clusters": []any{map[string]any{
			"name": "bench", "server": server, "certificateAuthorityFile": caFile,
			"identity": map[string]any{"requestHeader": map[string]any{"certFile": "front.crt", "keyFile": "front.key"}},
		}},
		"authentication": map[string]any{
			"clientCertificate": policy(map[string]any{"caFiles": []string{caFile}}),
			"jwt":               policy(map[string]any{"configuration": authentication}),
		},
		"groupRules": []any{map[string]any{
			"name": "on-call", "match": map[string]any{"users": []string{"user-1*", "oidc:user-1*"}}, "add": []string{"on-call"},
		}},
		"accessLog": map[string]any{"file": "access.log"},
	})
	if err != nil {
		return proxy{}, err
	}
	file := filepath.Join(b.dir, "ostiary.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return proxy{}, err
	}
	log := filepath.Join(b.dir, "gate.log")
	gate, err := process.Start(process.Spec{Name: "ostiary", Path: path, Args: []string{"serve", "--config", file}, Log: log})
	if err != nil {
		return proxy{}, err
	}
	context.AfterFunc(ctx, func() { _ = gate.Kill() })
	address := func(listener string) (string, error) {
		line, err := jsonlines.Wait(ctx, log, func(l listening) bool { return l.Msg == "listening" && l.Listener == listener })
		return line.Address, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	front, err := address("gate")
	if err != nil {
		return proxy{}, fmt.Errorf("the gate did not start:\n%s", gate.LogTail())
	}
	admin, err := address("admin")
	if err != nil {
		return proxy{}, err
	}
	return proxy{"ostiary", "https://" + front, gate.PID()}, awaitReady(ctx, "http://"+admin+"/readyz")
}

// listening is the log line that names a listener's address.
type listening struct{ Msg, Listener, Address string }

// awaitReady asks until the answer is 200 or ctx ends.
func awaitReady(ctx context.Context, url string) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			text, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s", text)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gate is not ready: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// role runs this program again as one of the peers, and waits for the address that it prints.
func role(ctx context.Context, name, dir, upstream string) (proxy, error) {
	self, err := os.Executable()
	if err != nil {
		return proxy{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-role", name, "-dir", dir, "-upstream", upstream) //nolint:gosec // ourselves
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, process.Attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return proxy{}, err
	}
	if err := cmd.Start(); err != nil {
		return proxy{}, err
	}
	go func() { _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return proxy{}, fmt.Errorf("%s did not start: %w", name, err)
	}
	return proxy{name, strings.TrimSpace(line), cmd.Process.Pid}, nil
}
