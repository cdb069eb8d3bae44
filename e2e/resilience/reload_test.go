package resilience_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// inForce is how soon a change must be in force (G-07, G-11, G-13).
	inForce = time.Second
	// attempts is how often a change that came too late is tried again: one delay may be the machine's, which compiles
	// other things meanwhile; three are the gate's.
	attempts = 3
)

// timely makes a change and undoes it, both of which must be in force in time at least once.
func timely(t *testing.T, what string, change func() (toDo, toUndo time.Duration)) {
	t.Helper()
	var late [2]bool
	for range attempts {
		done, undone := change()
		t.Logf("%s: in force after %s, undone after %s", what, done.Round(time.Millisecond), undone.Round(time.Millisecond))
		if late = [2]bool{done > inForce, undone > inForce}; late == [2]bool{} {
			return
		}
	}
	t.Errorf("%s: not in force within %s (change, undoing): %v", what, inForce, late)
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := pki.WriteFile(file, content); err != nil {
		t.Fatal(err)
	}
}

// TestReloadUnderLoad swaps everything that can be swapped while clients with good credentials ask without pause.
func TestReloadUnderLoad(t *testing.T) {
	h := open(t, requestHeader)
	l := h.load(t)
	t.Run("G-13 a token comes and goes", func(t *testing.T) {
		timely(t, "token", func() (time.Duration, time.Duration) {
			fresh := rand.Text() + rand.Text()
			c := newCaller(t, "fresh", h.Access().WithToken(fresh), true)
			if !c.refused(t.Context()) {
				t.Fatal("a token that nobody wrote is not refused")
			}
			write(t, h.tokensFile, []byte(h.tokenLines(fresh+",fresh,uid-of-fresh\n")))
			came := stage.Await(t, "the token to count", c.admitted)
			write(t, h.tokensFile, []byte(h.tokenLines()))
			return came, stage.Await(t, "the token not to count any more", c.refused)
		})
	})
	t.Run("G-11 a group rule comes and goes", func(t *testing.T) {
		c := newCaller(t, "static", h.Access().WithToken(h.staticToken), true)
		timely(t, "group rule", func() (time.Duration, time.Duration) {
			has := func(ctx context.Context) bool { return slices.Contains(c.groups(ctx), "on-call") }
			changed := gate.Object{"groupRules": []any{gate.Object{"name": "on-call", "match": gate.Object{"users": []any{user}}, "add": []any{"on-call"}}}}
			maps.Copy(changed, h.config)
			reconfigure(t, h, changed)
			came := stage.Await(t, "the group", has)
			reconfigure(t, h, h.config)
			return came, stage.Await(t, "the group to go", func(ctx context.Context) bool { return !has(ctx) })
		})
	})
	t.Run("G-07 a CA comes, and the one before goes", func(t *testing.T) { rotateCA(t, h) })
	t.Run("the server's certificate", func(t *testing.T) {
		timely(t, "server certificate", func() (time.Duration, time.Duration) {
			replace := func() time.Duration {
				next, err := h.Authority.Issue(pki.Server("ostiary"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := next.Write(h.Dir, "serving"); err != nil {
					t.Fatal(err)
				}
				return stage.Await(t, "the new certificate", func(ctx context.Context) bool {
					return serial(ctx, t, h).Cmp(next.Certificate.SerialNumber) == 0
				})
			}
			return replace(), replace()
		})
	})
	t.Run("an issuer comes and goes", func(t *testing.T) {
		second, err := minter.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = second.Stop() }()
		if _, err := second.NewKey(keyID, "ES256"); err != nil {
			t.Fatal(err)
		}
		c := newCaller(t, "second issuer", h.Access().WithToken(token(t, second, "joe")), true)
		timely(t, "issuer", func() (time.Duration, time.Duration) {
			write(t, h.authenticationConfig, authentication(t, shared.issuer, second))
			came := stage.Await(t, "the second issuer's token to count", c.admitted)
			write(t, h.authenticationConfig, authentication(t, shared.issuer))
			return came, stage.Await(t, "the second issuer's token not to count any more", c.refused)
		})
	})
	t.Run("refused", func(t *testing.T) { refusedChanges(t, h) })
	l.mustBeFine(t)
}

func reconfigure(t *testing.T, h *house, config gate.Object) {
	t.Helper()
	if err := h.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
}

// serial is that of the certificate which a new connection is shown.
func serial(ctx context.Context, t *testing.T, h *house) *big.Int {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", address(h))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber
}

func address(h *house) string { return strings.TrimPrefix(h.URL, "https://") }

// rotateCA rotates as operators do: the new CA is added, certificates move over, the old one goes. Connections that are
// open stay open, and count by the CAs in force.
func rotateCA(t *testing.T, h *house) {
	t.Helper()
	old := h.users
	timely(t, "CA", func() (time.Duration, time.Duration) {
		first, err := pki.NewAuthority("first")
		if err != nil {
			t.Fatal(err)
		}
		second, err := pki.NewAuthority("second")
		if err != nil {
			t.Fatal(err)
		}
		ofFirst := newCaller(t, "first", h.Access().WithCertificate(h.certificate(t, first)), true)
		ofSecond := newCaller(t, "second", h.Access().WithCertificate(h.certificate(t, second)), true)
		write(t, h.changingFile, first.PEM())
		stage.Await(t, "the first CA", ofFirst.admitted)
		if !ofSecond.refused(t.Context()) {
			t.Error("a certificate of no CA is not refused")
		}
		write(t, h.changingFile, append(first.PEM(), second.PEM()...))
		came := stage.Await(t, "the second CA", ofSecond.admitted)
		if !ofFirst.admitted(t.Context()) {
			t.Error("with both CAs in force, the first does not count")
		}
		write(t, h.changingFile, second.PEM())
		gone := stage.Await(t, "the first CA to go", ofFirst.refused)
		if !ofSecond.admitted(t.Context()) {
			t.Error("the second CA does not count without the first")
		}
		return came, gone
	})
	write(t, h.changingFile, old.PEM())
}

// failedReloads reads how many reloads failed.
func (h *house) failedReloads(ctx context.Context, t *testing.T) int {
	t.Helper()
	metrics, err := h.Metrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ostiary_config_reloads_total\{result="failure"\} (\d+)$`).FindStringSubmatch(metrics)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// refusedChanges breaks each file in turn. The last good state stays in force, an error is logged, the metric counts;
// the twin is the good content back, and a good change after it.
func refusedChanges(t *testing.T, h *house) {
	t.Helper()
	stranger, err := pki.NewAuthority("stranger")
	if err != nil {
		t.Fatal(err)
	}
	other, err := stranger.Issue(pki.Server("ostiary"))
	if err != nil {
		t.Fatal(err)
	}
	half := h.tokenLines()[:strings.Index(h.tokenLines(), ",developers")]
	for _, tt := range []struct {
		name, file, content, says string
	}{
		{"torn write within a quoted field", h.tokensFile, half, "tokens.csv"},
		{"torn write within the first field", h.tokensFile, h.tokenLines() + h.staticToken[:20], "tokens.csv"},
		{"emptied token file", h.tokensFile, "", "tokens.csv"},
		{"token file of blanks", h.tokensFile, "\n\n", "tokens.csv"},
		{"invalid YAML", h.ConfigFile, "apiVersion: [", "ostiary.yaml"},
		{"emptied configuration", h.ConfigFile, "", "ostiary.yaml"},
		{"unknown key", h.ConfigFile, "apiVersion: ostiary.dev/v1alpha1\nkind: Configuration\nlistenn: {}\n", "listenn"},
		{"attack 73 mismatched pair", h.Serving.Cert, string(other.CertPEM()), "serving"},
		{"emptied certificate", h.Serving.Cert, "", "serving"},
		{"CA file without a certificate", h.changingFile, "-----BEGIN CERTIFICATE-----\n", "changing-ca"},
		{"emptied CA file", h.changingFile, "", "changing-ca"},
		{"invalid AuthenticationConfiguration", h.authenticationConfig, `{"apiVersion":"apiserver.config.k8s.io/v1","kind":"AuthenticationConfiguration","jwt":[{}]}`, "jwt"},
		{"torn AuthenticationConfiguration", h.authenticationConfig, string(authentication(t, shared.issuer)[:100]), "authentication"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			good, err := os.ReadFile(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			began, before := time.Now(), h.failedReloads(t.Context(), t)
			shown := serial(t.Context(), t, h)
			write(t, tt.file, []byte(tt.content))
			stage.Await(t, "the metric to count", func(ctx context.Context) bool { return h.failedReloads(ctx, t) > before })
			if _, err := h.WaitLog(stage.Within(t), func(line gate.Object) bool {
				cause, _ := line["cause"].(string)
				written, _ := line["time"].(string)
				at, err := time.Parse(time.RFC3339Nano, written)
				return err == nil && at.After(began) && line["level"] == "ERROR" && strings.Contains(cause, tt.says)
			}); err != nil {
				t.Error(err)
			}
			c := newCaller(t, "static", h.Access().WithToken(h.staticToken), false)
			if !c.admitted(t.Context()) {
				t.Error("the last good state is not in force")
			}
			if serial(t.Context(), t, h).Cmp(shown) != 0 {
				t.Error("another certificate is shown")
			}
			if status, body, err := h.Admin(t.Context(), "/readyz"); err != nil || status != 200 {
				t.Errorf("/readyz: %d %s %v", status, body, err)
			}
			write(t, tt.file, good)
		})
	}
	t.Run("vanished token file", func(t *testing.T) {
		before := h.failedReloads(t.Context(), t)
		away := filepath.Join(h.dir, "away")
		if err := os.Rename(h.tokensFile, away); err != nil {
			t.Fatal(err)
		}
		stage.Await(t, "the metric to count", func(ctx context.Context) bool { return h.failedReloads(ctx, t) > before })
		if err := os.Rename(away, h.tokensFile); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("twin a good change after all that", func(t *testing.T) {
		fresh := rand.Text() + rand.Text()
		write(t, h.tokensFile, []byte(h.tokenLines(fresh+",fresh,uid-of-fresh\n")))
		stage.Await(t, "the token to count", newCaller(t, "fresh", h.Access().WithToken(fresh), true).admitted)
	})
}

// dialRefused tells whether a new connection is refused.
func dialRefused(ctx context.Context, h *house) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address(h))
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}
