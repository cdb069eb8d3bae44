package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// office is an authority whose record is in memory.
type office struct {
	*Authority
	root *Root

	mu        sync.Mutex
	published []*x509.Certificate
	dead      map[string]bool
	fails     error
}

func newOffice(t testing.TB, now time.Time) *office {
	t.Helper()
	text, err := NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{dead: make(map[string]bool)}
	if o.root, err = ParseRoot(text, now); err != nil {
		t.Fatal(err)
	}
	if o.Authority, err = New(Config{
		Root: o.root, Replica: "one", Logger: slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, issuing *x509.Certificate) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.fails == nil {
				o.published = append(o.published, issuing)
			}
			return o.fails
		},
		Dead: func(issuing *x509.Certificate) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.dead[KeyID(issuing)]
		},
	}); err != nil {
		t.Fatal(err)
	}
	return o
}

// by returns the id of the key that would sign at a time.
func (o *office) by(t *testing.T, now time.Time) string {
	t.Helper()
	d, err := o.Draft(orderOf(t, time.Hour, now), now)
	if err != nil {
		t.Fatal(err)
	}
	return KeyID(d.Issuing)
}

func orderOf(t testing.TB, lifetime time.Duration, now time.Time) Order {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Order{ID: NewID(), Username: "jane", Key: key.Public(), NotAfter: now.Add(lifetime)}
}

// TestRotation prepares the next issuing key at half of the life of the one before, and changes over at five sixths, without a moment
// in which nothing can be issued. A key that is shut out is replaced at once.
func TestRotation(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := newOffice(t, start)
	if _, err := o.Draft(orderOf(t, time.Hour, start), start); !errors.Is(err, ErrNoIssuer) {
		t.Errorf("before there is a key: %v", err)
	}
	o.fails = errors.New("the store is away")
	if err := o.Rotate(t.Context(), start); err == nil {
		t.Error("a key that is not on record counts")
	}
	if _, err := o.Draft(orderOf(t, time.Hour, start), start); !errors.Is(err, ErrNoIssuer) {
		t.Errorf("with a key that is not on record: %v", err)
	}
	o.fails = nil
	at := func(after time.Duration) (string, int) {
		now := start.Add(after)
		if err := o.Rotate(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		return o.by(t, now), len(o.published)
	}
	const day = 24 * time.Hour
	first, n := at(0)
	if n != 1 {
		t.Errorf("%d keys at the start", n)
	}
	for _, step := range []struct {
		after time.Duration
		same  bool
		keys  int
	}{{3 * day, true, 1}, {3*day + 13*time.Hour, true, 2}, {5*day + 19*time.Hour, true, 2}, {5*day + 21*time.Hour, false, 2}} {
		by, keys := at(step.after)
		if (by == first) != step.same || keys != step.keys {
			t.Errorf("after %s: the same %t, %d keys", step.after, by == first, keys)
		}
	}
	second, _ := at(6 * day)
	o.dead[second] = true
	if _, err := o.Draft(orderOf(t, time.Hour, start), start.Add(6*day)); !errors.Is(err, ErrNoIssuer) {
		t.Errorf("with a key that is shut out: %v", err)
	}
	if third, keys := at(6 * day); third == second || third == first || keys != 3 {
		t.Errorf("after the key was shut out: %d keys", keys)
	}
}

// TestCertificate issues what it means to, and nothing of what a request says.
func TestCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := newOffice(t, now)
	if err := o.Rotate(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ wish, longest time.Duration }{
		"an hour": {time.Hour, time.Hour + backdate}, "a day": {24 * time.Hour, HardCap}, "a year": {365 * 24 * time.Hour, HardCap},
	} {
		d, err := o.Draft(orderOf(t, test.wish, now), now)
		if err != nil {
			t.Fatal(err)
		}
		made, err := d.Sign()
		if err != nil {
			t.Fatal(err)
		}
		if whole := made.NotAfter.Sub(made.NotBefore) + time.Second; whole > test.longest+time.Second || whole > HardCap {
			t.Errorf("%s: %s, first and last second included", name, whole)
		}
		if sha256.Sum256(made.RawTBSCertificate) != d.TBS || sha256.Sum256(made.RawSubjectPublicKeyInfo) != d.Key {
			t.Errorf("%s: it is not what was drafted", name)
		}
		if id, ok := IDOf(made); !ok || id != d.ID || len(made.SerialNumber.Bytes()) != 17 {
			t.Errorf("%s: serial number %x", name, made.SerialNumber)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(o.root.Certificate)
		between.AddCert(d.Issuing)
		if _, err := made.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := made.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err == nil {
			t.Errorf("%s: it can serve", name)
		}
		if len(made.Subject.Organization) > 0 {
			t.Errorf("%s: it holds groups", name)
		}
	}
	if _, err := o.Draft(orderOf(t, -time.Second, now), now); !errors.Is(err, ErrLint) {
		t.Errorf("one that has ended: %v", err)
	}
}

// TestLint finds what a mistake in the profile would make.
func TestLint(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := newOffice(t, now)
	if err := o.Rotate(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	order := orderOf(t, time.Hour, now)
	d, err := o.Draft(order, now)
	if err != nil {
		t.Fatal(err)
	}
	good, err := d.Sign()
	if err != nil {
		t.Fatal(err)
	}
	spki := good.RawSubjectPublicKeyInfo
	if err := lint(good, d.Issuing, order, spki); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(c *x509.Certificate){
		"an old version":      func(c *x509.Certificate) { c.Version = 1 },
		"another serial":      func(c *x509.Certificate) { c.SerialNumber = NewID().serial() },
		"another issuer":      func(c *x509.Certificate) { c.RawIssuer = []byte("x") },
		"another issuing key": func(c *x509.Certificate) { c.AuthorityKeyId = []byte("x") },
		"too long":            func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(HardCap) },
		"longer than issuer":  func(c *x509.Certificate) { c.NotAfter = d.Issuing.NotAfter.Add(time.Second) },
		"backwards":           func(c *x509.Certificate) { c.NotAfter = c.NotBefore },
		"another name":        func(c *x509.Certificate) { c.Subject.CommonName = "joe" },
		"a group":             func(c *x509.Certificate) { c.Subject.Names = append(c.Subject.Names, c.Subject.Names[0]) },
		"a DNS name":          func(c *x509.Certificate) { c.DNSNames = []string{"x"} },
		"no name of ours":     func(c *x509.Certificate) { c.URIs = nil },
		"a CA":                func(c *x509.Certificate) { c.IsCA = true },
		"another usage":       func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"a server's":          func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) },
		"another key":         func(c *x509.Certificate) { c.RawSubjectPublicKeyInfo = []byte("x") },
		"one extension more":  func(c *x509.Certificate) { c.Extensions = append(c.Extensions, c.Extensions[0]) },
		"another extension":   func(c *x509.Certificate) { c.Extensions = append(c.Extensions[1:], c.Extensions[0]) },
		"another algorithm":   func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 },
	} {
		bad := *good
		bad.Extensions = append(bad.Extensions[:0:0], bad.Extensions...)
		bad.Subject.Names = append(bad.Subject.Names[:0:0], bad.Subject.Names...)
		spoil(&bad)
		if err := lint(&bad, d.Issuing, order, spki); !errors.Is(err, ErrLint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParseRoot takes what NewRoot made, and nothing that is like it.
func TestParseRoot(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good, err := NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRoot(good, now); err != nil {
		t.Fatal(err)
	}
	other, err := NewRoot(now)
	if err != nil {
		t.Fatal(err)
	}
	key, certificate := pem.Decode(good)
	_, otherCertificate := pem.Decode(other)
	for name, text := range map[string][]byte{
		"nothing": nil, "the key alone": pem.EncodeToMemory(key), "the certificate alone": certificate,
		"another's certificate": append(pem.EncodeToMemory(key), otherCertificate...), "two": append(append([]byte(nil), good...), other...),
		"another block": append(append([]byte(nil), good...), pem.EncodeToMemory(&pem.Block{Type: "X"})...),
	} {
		if _, err := ParseRoot(text, now); !errors.Is(err, ErrRoot) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "MI") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseRoot(good, now.Add(rootLifetime-time.Hour)); !errors.Is(err, ErrRoot) {
		t.Errorf("one that is about to end: %v", err)
	}
}

// BenchmarkIssue is the cost of a certificate without the record: draft, examine, sign, compare.
func BenchmarkIssue(b *testing.B) {
	now := time.Now()
	o := newOffice(b, now)
	if err := o.Rotate(b.Context(), now); err != nil {
		b.Fatal(err)
	}
	order := orderOf(b, time.Hour, now)
	b.ReportAllocs()
	for b.Loop() {
		order.ID = NewID()
		d, err := o.Draft(order, now)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Sign(); err != nil {
			b.Fatal(err)
		}
	}
}
