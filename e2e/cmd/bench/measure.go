package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// settings say how much is measured.
type settings struct {
	rounds, requests, users, watches, records int
	ledgerOnly                                bool
}

// workers is how many requests are under way at a time; enough to keep two cores busy.
const workers = 16

// result is one measurement of one proxy.
type result struct {
	cpu       time.Duration // of the proxy, per request
	rate      float64       // requests per second
	latencies []time.Duration
}

// load is one kind of request.
type load struct {
	protocol string // "HTTP/1.1" or "HTTP/2"
	auth     string // "jwt", "certificate", or "review" for an API server that asks about a token
	ledger   bool   // compares a gate whose ledger is full with one whose ledger is empty
}

// review is the load of an API server that asks.
const review = "review"

// compared are the baseline and the gate for a load.
func (b *bed) compared(l load) []proxy {
	switch {
	case l.ledger:
		return []proxy{b.empty, b.full}
	case l.auth == review:
		return []proxy{b.handler, b.reviewer}
	}
	return []proxy{b.plain, b.gate}
}

// measure runs every load against both proxies in turn, and prints what it found.
func measure(ctx context.Context, s settings) error {
	b, err := newBed(ctx, s.users, s.records)
	if err != nil {
		return err
	}
	defer b.stop()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(out, "load\tproxy\tCPU/request\trequests/s\tp50\tp99\t\n")
	loads := []load{
		{protocol: "HTTP/1.1", auth: "jwt"},
		{protocol: "HTTP/1.1", auth: "certificate"},
		{protocol: "HTTP/2", auth: "jwt"},
		{protocol: "HTTP/2", auth: "certificate"},
		{protocol: "HTTP/2", auth: review},
	}
	if s.ledgerOnly {
		loads = nil
	}
	if s.records > 0 {
		loads = append(loads, load{protocol: "HTTP/1.1", auth: "jwt", ledger: true}, load{protocol: "HTTP/1.1", auth: "certificate", ledger: true})
	}
	for _, l := range loads {
		var all [2][]result
		for round := range s.rounds + 1 {
			for i, p := range b.compared(l) {
				r, err := b.round(ctx, p, l, s.requests)
				if err != nil {
					return fmt.Errorf("%s over %s with %s: %w", p.name, l.protocol, l.auth, err)
				}
				if round > 0 { // the first warms up
					all[i] = append(all[i], r)
				}
			}
		}
		plain, gate := median(all[0]), median(all[1])
		row(out, l, b.compared(l)[0].name, plain)
		row(out, l, b.compared(l)[1].name, gate)
		_, _ = fmt.Fprintf(out, "\tratio\t%.2f\t%.2f\t%.2f\t%.2f\t\n", ratio(gate.cpu, plain.cpu), gate.rate/plain.rate,
			ratio(percentile(gate.latencies, 50), percentile(plain.latencies, 50)), ratio(percentile(gate.latencies, 99), percentile(plain.latencies, 99)))
	}
	if err := out.Flush(); err != nil || s.ledgerOnly {
		return err
	}
	for _, p := range []proxy{b.plain, b.gate} {
		each, err := b.idleWatches(ctx, p, s.watches)
		if err != nil {
			return err
		}
		_, _ = fmt.Printf("%s: %d idle watches take %.1f KiB each\n", p.name, s.watches, float64(each)/1024) //nolint:forbidigo // a program's output
	}
	return nil
}

func row(out io.Writer, l load, name string, r result) {
	_, _ = fmt.Fprintf(out, "%s %s\t%s\t%v\t%.0f\t%v\t%v\t\n", l.protocol, l.auth, name, r.cpu.Round(100*time.Nanosecond), r.rate,
		percentile(r.latencies, 50).Round(time.Microsecond), percentile(r.latencies, 99).Round(time.Microsecond))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// median is the middle round by CPU, with the latencies of all rounds.
func median(rounds []result) result {
	slices.SortFunc(rounds, func(a, b result) int { return int(a.cpu - b.cpu) })
	m := rounds[len(rounds)/2]
	m.latencies = nil
	for _, r := range rounds {
		m.latencies = append(m.latencies, r.latencies...)
	}
	slices.Sort(m.latencies)
	return m
}

func percentile(sorted []time.Duration, p int) time.Duration { return sorted[len(sorted)*p/100] }

// client makes one worker's connection: HTTP/1.1 workers have one each, HTTP/2 workers share.
func (b *bed) client(p proxy, l load, n int) (*http.Client, error) {
	roots, err := pool(p.ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if l.auth == "certificate" {
		config.Certificates = []tls.Certificate{b.certificates[n%len(b.certificates)]}
	}
	if l.auth == review {
		config.Certificates = []tls.Certificate{b.caller}
	}
	transport := &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: workers, DisableCompression: true, ForceAttemptHTTP2: l.protocol == "HTTP/2"}
	if l.protocol == "HTTP/1.1" {
		config.NextProtos = []string{"http/1.1"}
	}
	return &http.Client{Transport: transport}, nil
}

// perConnection is how many HTTP/2 workers share a connection.
const perConnection = 4

// round sends requests as fast as they are answered.
func (b *bed) round(ctx context.Context, p proxy, l load, requests int) (result, error) {
	var clients []*http.Client
	for n := range workers {
		if last := len(clients) - 1; l.protocol == "HTTP/2" && n%perConnection != 0 {
			clients = append(clients, clients[last])
			continue
		}
		client, err := b.client(p, l, n)
		if err != nil {
			return result{}, err
		}
		clients = append(clients, client)
		defer client.CloseIdleConnections()
	}
	for _, client := range clients { // connect before anything is measured
		if _, err := b.request(ctx, client, p, l, 0); err != nil {
			return result{}, err
		}
	}
	var (
		next      atomic.Int64
		group     sync.WaitGroup
		latencies = make([][]time.Duration, workers)
		errs      = make([]error, workers)
	)
	before, err := cpuTime(p.pid)
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	for n, client := range clients {
		group.Go(func() {
			for {
				i := int(next.Add(1))
				if i > requests || ctx.Err() != nil {
					return
				}
				took, err := b.request(ctx, client, p, l, i)
				if err != nil {
					errs[n] = err
					return
				}
				latencies[n] = append(latencies[n], took)
			}
		})
	}
	group.Wait()
	wall := time.Since(began)
	after, err := cpuTime(p.pid)
	if err := errors.Join(append(errs, err)...); err != nil {
		return result{}, err
	}
	return result{cpu: (after - before) / time.Duration(requests), rate: float64(requests) / wall.Seconds(), latencies: slices.Concat(latencies...)}, nil
}

// request sends one request and reads its answer.
func (b *bed) request(ctx context.Context, client *http.Client, p proxy, l load, i int) (time.Duration, error) {
	method, url, body, least := http.MethodGet, p.url+"/api/v1/namespaces/default/pods/a-pod", io.Reader(http.NoBody), answerBytes
	if l.auth == review {
		method, url, least = http.MethodPost, p.url, len(`{"status":{"authenticated":true}}`)
		body = strings.NewReader(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{"token":"` +
			b.tokens[i%len(b.tokens)] + `"},"status":{"user":{}}}`)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "kubectl/v1.37.2 (linux/amd64) kubernetes/abcdef0")
	if l.auth == "jwt" {
		request.Header.Set("Authorization", "Bearer "+b.tokens[i%len(b.tokens)])
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	n := len(content)
	if response.StatusCode != http.StatusOK || n < least || l.auth == review && !bytes.Contains(content, []byte(`"authenticated":true`)) || response.Proto[:6] != l.protocol[:6] {
		return 0, fmt.Errorf("%s %s with %d bytes", response.Proto, response.Status, n)
	}
	return time.Since(began), nil
}

// cpuTime is the CPU time that a process has used, user and system, in the kernel's own precision.
func cpuTime(pid int) (time.Duration, error) {
	const processClock = 2 // CPUCLOCK_SCHED in the kernel's encoding of a process' CPU clock
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|processClock), &at); err != nil { //nolint:gosec // the kernel's own encoding
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(at.Nano()), nil
}

// idleWatches holds watches open and returns the resident memory that each adds to the proxy.
func (b *bed) idleWatches(ctx context.Context, p proxy, n int) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before, err := residentBytes(p.pid)
	if err != nil {
		return 0, err
	}
	l := load{protocol: "HTTP/2", auth: "jwt"}
	client, err := b.client(p, l, 0)
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	for i := range n {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/pods?watch=1", http.NoBody)
		if err != nil {
			return 0, err
		}
		request.Header.Set("Authorization", "Bearer "+b.tokens[i%len(b.tokens)])
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer func() { _ = response.Body.Close() }()
		if _, err := io.ReadFull(response.Body, make([]byte, 3)); err != nil {
			return 0, err
		}
	}
	after, err := residentBytes(p.pid)
	return (after - before) / n, err
}

// residentBytes is a process' resident memory.
func residentBytes(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS in the process' status")
}
