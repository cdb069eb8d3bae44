package config_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/issuer"
)

// withIssuer is a folder with an issuer and a sign-in, where edits are made.
func withIssuer(t *testing.T, edits ...string) string {
	t.Helper()
	text := strings.NewReplacer(edits...).Replace(`issuer:
  rootFile: issuer.pem
signIn:
  providers:
  - {name: main, issuer: https://idp.example, clientID: kubernetes}
ledger:
  embedded: {directory: data}
  keyFile: token
`)
	dir := folder(t, "accessLog:\n", text+"accessLog:\n")
	if _, err := issuer.NewRootFile(filepath.Join(dir, "issuer.pem"), time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestIssuerDefaults(t *testing.T) {
	checked := load(t, withIssuer(t))
	made, signIn := checked.Issuer, checked.SignIn
	if made.Root == nil || made.MaxLifetime != 12*time.Hour || made.TokenLifetime != 90*24*time.Hour || made.RotationGrace != time.Hour {
		t.Errorf("%+v", made)
	}
	if signIn.PeopleLifetime != time.Hour || signIn.PeopleSession != 12*time.Hour || signIn.PipelineLifetime != 15*time.Minute {
		t.Errorf("%+v", signIn)
	}
	if provider := signIn.Providers[0]; strings.Join(provider.Scopes, " ") != "openid offline_access" || strings.Join(provider.Flows, " ") != "code device paste" {
		t.Errorf("%+v", provider)
	}
	short := load(t, withIssuer(t, "rootFile: issuer.pem", "rootFile: issuer.pem\n  maxLifetime: 30m"))
	if short.SignIn.PeopleLifetime != 30*time.Minute {
		t.Errorf("people get %s, more than anybody may", short.SignIn.PeopleLifetime)
	}
}

func TestIssuerRefuses(t *testing.T) {
	for _, row := range []struct {
		name  string
		edits []string
		want  string
	}{
		{"no root", []string{"rootFile: issuer.pem", "maxLifetime: 1h"}, "issuer.rootFile: Required"},
		{"longer than a day", []string{"rootFile: issuer.pem", "rootFile: issuer.pem\n  maxLifetime: 25h"}, "issuer.maxLifetime: must be between 1m and 24h"},
		{"no ledger", []string{"ledger:\n  embedded: {directory: data}\n  keyFile: token\n", ""}, "ledger: Required"},
		{"no issuer", []string{"issuer:\n  rootFile: issuer.pem\n", ""}, "issuer: Required"},
		{"a name that is no label", []string{"name: main", "name: Main"}, "signIn.providers[0].name: "},
		{"a provider in clear text", []string{"issuer: https://", "issuer: http://"}, "signIn.providers[0].issuer: must be an https URL"},
		{"no client", []string{", clientID: kubernetes", ""}, "signIn.providers[0].clientID: Required"},
		{"no openid", []string{"clientID: kubernetes", "clientID: kubernetes, scopes: [email]"}, "signIn.providers[0].scopes: must hold openid"},
		{"a flow that is not known", []string{"clientID: kubernetes", "clientID: kubernetes, flows: [password]"}, "signIn.providers[0].flows[0]: known here"},
		{"two of a name", []string{"  - {name", "  - {name: main, issuer: https://two.example, clientID: x}\n  - {name"}, "signIn.providers[1].name: "},
		{"people longer than anybody", []string{"signIn:", "signIn:\n  people: {lifetime: 13h}"}, "signIn.people.lifetime: must be between 1m and 12h"},
		{"a name that is not reserved", []string{"rootFile: issuer.pem", "rootFile: issuer.pem\n  allowedSystemNames: [dev]"}, "issuer.allowedSystemNames[0]: must start with"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := strings.Join(refusal(t, withIssuer(t, row.edits...)), "\n")
			path, message, _ := strings.Cut(row.want, ": ")
			if !strings.Contains(got, path) || !strings.Contains(got, message) {
				t.Errorf("want %q in\n%s", row.want, got)
			}
		})
	}
}

// TestIssuerRoot wants a root that nobody else can read or choose, and that nothing else trusts.
func TestIssuerRoot(t *testing.T) {
	t.Parallel()
	refuses := func(what, want string, spoil func(dir, path string) error) {
		t.Helper()
		dir := withIssuer(t)
		if err := spoil(dir, filepath.Join(dir, "issuer.pem")); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(filepath.Join(dir, "ostiary.yaml"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q: %v", what, want, err)
		}
	}
	refuses("readable by the group", "mode 0440", func(_, path string) error { return os.Chmod(path, 0o440) })
	refuses("readable by all", "mode 0444", func(_, path string) error { return os.Chmod(path, 0o444) })
	refuses("a link out of its folder", "leads out of its folder", func(_, path string) error {
		elsewhere := filepath.Join(t.TempDir(), "root.pem")
		if err := os.Rename(path, elsewhere); err != nil {
			return err
		}
		return os.Symlink(elsewhere, path)
	})
	refuses("no root", "not a root of an Ostiary issuer", func(_, path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.WriteFile(path, []byte("x"), 0o400)
	})
	refuses("trusted by another field", "authentication.clientCertificate.caFiles trusts it, too", func(dir, path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, certificate := pem.Decode(text)
		users := filepath.Join(dir, "users-ca.crt")
		before, err := os.ReadFile(users)
		if err != nil {
			return err
		}
		return os.WriteFile(users, bytes.Join([][]byte{before, certificate}, nil), 0o600)
	})
	// A Kubernetes volume is links that stay inside.
	dir := withIssuer(t)
	path := filepath.Join(dir, "issuer.pem")
	if err := os.Mkdir(filepath.Join(dir, "..data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, filepath.Join(dir, "..data", "issuer.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..data", "issuer.pem"), path); err != nil {
		t.Fatal(err)
	}
	load(t, dir)
}
