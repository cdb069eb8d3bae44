package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
)

// proxy is one of the two that are compared.
type proxy struct {
	name string
	url  string
	ca   []byte // of what signed its certificate
	pid  int
}

// bed is everything that a measurement needs.
type bed struct {
	dir         string
	plain, gate proxy
	// empty and full are gates with a ledger that holds nothing and a million of each.
	empty, full proxy
	account     string // a kubeconfig, for the gates' questions who may fill the ledger
	// handler and reviewer answer TokenReviews; the latter is a gate. caller is who asks.
	handler, reviewer proxy
	caller            tls.Certificate
	tokens            []string
	certificates      []tls.Certificate
	stop              func()
}

// newBed starts the server behind, the plain proxy and the gate, and makes everybody's credentials.
func newBed(ctx context.Context, users, records int) (_ *bed, err error) {
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
	if b.gate, _, err = b.startGate(ctx, paths[binaries.Ostiary], "ostiary", server.url, configuration, nil); err != nil {
		return nil, err
	}
	if records > 0 {
		if err := b.startLedgers(ctx, paths[binaries.Ostiary], server.url, configuration, records); err != nil {
			return nil, err
		}
	}
	if b.handler, err = role(ctx, "reviews", dir, ""); err != nil {
		return nil, err
	}
	return b, b.startReviewer(ctx, paths[binaries.Ostiary], server.url, configuration)
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
func (b *bed) mint(ctx context.Context, users int) (gate.Object, error) {
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
	return gate.Object{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
		"jwt": []any{gate.Object{
			"issuer": gate.Object{"url": issuer.Issuer, "audiences": []string{"kubernetes"}, "certificateAuthority": string(issuer.CA)},
			"claimMappings": gate.Object{
				"username": gate.Object{"claim": "sub", "prefix": "oidc:"},
				"groups":   gate.Object{"claim": "groups", "prefix": "oidc:"},
			},
		}},
	}, nil
}

// startGate runs Ostiary with everything on: both mechanisms with every policy, group rules, access log, metrics.
func (b *bed) startGate(ctx context.Context, path, name, server string, authentication, ledger gate.Object) (_ proxy, stop func() error, err error) {
	file := func(name string) string { return filepath.Join(b.dir, name) }
	policy := func(mechanism gate.Object) gate.Object {
		mechanism["allowedNetworks"] = []string{"127.0.0.0/8", "::1/128"}
		mechanism["maxLifetime"] = "48h"
		return mechanism
	}
	dir := file(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return proxy{}, nil, err
	}
	config := gate.Object{
		"listen": gate.Object{"limits": gate.Object{"streamsPerConnection": streams}},
		"clusters": []any{gate.Object{
			"name": "bench", "server": server, "certificateAuthorityFile": file(caFile),
			"identity": gate.Object{"requestHeader": gate.Object{"certFile": file("front.crt"), "keyFile": file("front.key")}},
		}},
		"authentication": gate.Object{
			"clientCertificate": policy(gate.Object{"caFiles": []string{file(caFile)}}),
			"jwt":               policy(gate.Object{"configuration": authentication}),
		},
		"groupRules": []any{gate.Object{
			"name": "on-call", "match": gate.Object{"users": []string{"user-1*", "oidc:user-1*"}}, "add": []string{"on-call"},
		}},
	}
	if ledger != nil {
		config["ledger"] = ledger
		config["clusters"].([]any)[0].(gate.Object)["access"] = gate.Object{"kubeconfig": b.account} //nolint:forcetypeassert // made above
	}
	g, err := gate.Start(ctx, gate.Options{Ostiary: path, Dir: dir, Config: config})
	if err != nil {
		return proxy{}, nil, err
	}
	context.AfterFunc(ctx, func() { _ = g.Kill() })
	return proxy{name: name, url: g.URL, ca: g.CA, pid: g.Process.PID()}, g.Stop, nil
}

// startReviewer runs Ostiary as an API server's webhook, with policy, group rules, access log and metrics.
func (b *bed) startReviewer(ctx context.Context, path, server string, authentication gate.Object) error {
	callers, err := pki.NewAuthority("bench-callers-ca")
	if err != nil {
		return err
	}
	callersFile, err := callers.Write(b.dir, "callers-ca")
	if err != nil {
		return err
	}
	pair, err := callers.Issue(pki.Client("apiserver"))
	if err != nil {
		return err
	}
	b.caller = pair.TLS()
	dir := filepath.Join(b.dir, "reviewer")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(b.dir, name) }
	g, err := gate.Start(ctx, gate.Options{Ostiary: path, Dir: dir, Config: gate.Object{
		"clusters": []any{gate.Object{
			"name": "bench", "server": server, "certificateAuthorityFile": file(caFile),
			"identity": gate.Object{"requestHeader": gate.Object{"certFile": file("front.crt"), "keyFile": file("front.key")}},
		}},
		"authentication": gate.Object{"jwt": gate.Object{"configuration": authentication, "maxLifetime": "48h"}},
		"groupRules":     []any{gate.Object{"name": "on-call", "match": gate.Object{"users": []string{"oidc:user-1*"}}, "add": []string{"on-call"}}},
		"tokenReview": gate.Object{"callers": []any{gate.Object{
			"name": "asking", "caFiles": []string{callersFile}, "allowedNames": []string{"apiserver"}, "mechanisms": []string{"jwt"},
		}}},
	}})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = g.Kill() })
	b.reviewer = proxy{name: "ostiary", url: g.ReviewURL, ca: g.CA, pid: g.Process.PID()}
	return nil
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
	ca, err := os.ReadFile(filepath.Join(dir, caFile)) //nolint:gosec // our own folder
	return proxy{name: name, url: strings.TrimSpace(line), ca: ca, pid: cmd.Process.Pid}, err
}
