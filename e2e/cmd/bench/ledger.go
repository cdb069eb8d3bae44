package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
)

const (
	// fillBatch is how many records are asked for at once: what the API takes.
	fillBatch = 1000
	// api is where the ledger is asked.
	api = "/apis/ostiary.dev/v1alpha1/"
)

// startLedgers starts a gate with an empty ledger and one with a full one, which it fills.
func (b *bed) startLedgers(ctx context.Context, path, server string, authentication gate.Object, records int) error {
	key, account := filepath.Join(b.dir, "bench-ledger.key"), filepath.Join(b.dir, "bench-account.kubeconfig")
	if out, err := exec.CommandContext(ctx, path, "store", "new-key", key).CombinedOutput(); err != nil { //nolint:gosec // our own program
		return fmt.Errorf("%w: %s", err, out)
	}
	ca, err := os.ReadFile(filepath.Join(b.dir, caFile))
	if err != nil {
		return err
	}
	if err := (kubectl.Access{Server: server, CA: ca}).WithToken("bench").Write(account); err != nil {
		return err
	}
	b.account = account
	start := func(name string) (proxy, func() error, error) {
		began := time.Now()
		p, stop, err := b.startGate(ctx, path, name, server, authentication, gate.Object{
			"embedded": gate.Object{"directory": filepath.Join(b.dir, name+"-ledger")}, "keyFile": key,
		})
		if err != nil {
			return p, nil, err
		}
		took := time.Since(began)
		resident, err := residentBytes(p.pid)
		say("a gate with %s ledger is ready after %.1f s and takes %d MiB\n", name, took.Seconds(), resident>>20)
		return p, stop, err
	}
	if b.empty, _, err = start("empty"); err != nil {
		return err
	}
	full, stop, err := start("full")
	if err != nil {
		return err
	}
	began := time.Now()
	if err := b.fill(ctx, full, records); err != nil {
		return fmt.Errorf("fill a ledger: %w", err)
	}
	say("filled the ledger of \"full\" with %d credentials and as many revocations in %.0f s\n", records, time.Since(began).Seconds())
	if err := stop(); err != nil {
		return err
	}
	b.full, _, err = start("full")
	return err
}

func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format, args...) }

// object is a part of what the API is asked.
type object = map[string]any

// fill puts credentials on record, and shuts out as many others, by the gate's own API.
func (b *bed) fill(ctx context.Context, p proxy, records int) error {
	client, err := b.client(p, load{protocol: "HTTP/1.1", auth: "certificate"}, 0)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	until := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	typed := func(kind string) object { return object{"apiVersion": "ostiary.dev/v1alpha1", "kind": kind} }
	for i := 0; i < records; i += fillBatch {
		var credentials, revocations []object
		for j := i; j < min(i+fillBatch, records); j++ {
			credential, revocation := typed("Credential"), typed("Revocation")
			credential["spec"] = object{
				"id": idOf(j), "mechanism": "clientCertificate", "username": fmt.Sprintf("somebody-%d", j%10_000), "groups": []string{"developers", "platform"},
				"notBefore": until.Add(-48 * time.Hour), "notAfter": until, "cluster": "bench",
			}
			revocation["spec"] = object{"target": object{"credential": object{"id": idOf(-1 - j)}}, "reason": "a benchmark"}
			credentials, revocations = append(credentials, credential), append(revocations, revocation)
		}
		for kind, items := range map[string][]object{"credential": credentials, "revocation": revocations} {
			list := typed(map[string]string{"credential": "CredentialList", "revocation": "RevocationList"}[kind])
			list["items"] = items
			if err := post(ctx, client, p.url+api+kind+"s", list); err != nil {
				return err
			}
		}
	}
	return nil
}

func post(ctx context.Context, client *http.Client, url string, list object) error {
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s: %.300s", url, response.Status, answer)
	}
	return nil
}

func idOf(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, n))
	return "X509SHA256=" + hex.EncodeToString(sum[:])
}
