package signin_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// TestIssueCommands has the guard issue by command what machines come in with, at the real gate: a certificate for a request, and
// a static token, which its owner rotates. Who has no right gets nothing.
func TestIssueCommands(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	k, dir := newKey(t), t.TempDir()
	request := filepath.Join(dir, "machine.csr")
	if err := os.WriteFile(request, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: requestFor(t, k.private)}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := h.guard.MustSucceed(t.Context(), "ostiary", "issue", "certificate", "--csr", request, "--username", "builder", "--lifetime", "30m", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	s := &signed{}
	for block, rest := pem.Decode([]byte(credentialOf(t, out, "certificate"))); block != nil; block, rest = pem.Decode(rest) {
		s.certificate.Certificate = append(s.certificate.Certificate, block.Bytes)
	}
	leaf, err := x509.ParseCertificate(s.certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	machine := h.as(t, h.Access().WithCertificate(pki.PairOf(leaf, k.private, s.certificate.Certificate[1:]...)))
	if who, err := machine.WhoAmI(t.Context()); err != nil || who.Username != "builder" {
		t.Errorf("the machine is %+v, %v", who, err)
	}
	refused, err := machine.Run(t.Context(), "ostiary", "issue", "static-token", "--username", "joe")
	if err != nil || refused.ExitCode != 1 || !strings.Contains(refused.String(), "cannot create") {
		t.Errorf("without the right: %v\n%s", err, refused)
	}

	if out, err = h.guard.MustSucceed(t.Context(), "ostiary", "issue", "static-token", "--username", "builder", "--lifetime", "24h", "-o", "json"); err != nil {
		t.Fatal(err)
	}
	token := credentialOf(t, out, "token")
	owner := h.as(t, h.Access().WithToken(token))
	if who, err := owner.WhoAmI(t.Context()); err != nil || who.Username != "builder" {
		t.Errorf("the token's owner is %+v, %v", who, err)
	}
	rotated, err := owner.MustSucceed(t.Context(), "ostiary", "token", "rotate", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	next := credentialOf(t, rotated, "token")
	if who, err := h.as(t, h.Access().WithToken(next)).WhoAmI(t.Context()); err != nil || who.Username != "builder" || next == token {
		t.Errorf("with the new token: %+v, %v", who, err)
	}
}

// credentialOf reads what was issued, "certificate" or "token", of a command's answer in JSON.
func credentialOf(t *testing.T, answer, what string) string {
	t.Helper()
	var read object
	if err := json.Unmarshal([]byte(answer), &read); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	status, _ := read["status"].(object)
	text, _ := status[what].(string)
	if text == "" {
		t.Fatalf("no %s in\n%s", what, answer)
	}
	return text
}
