package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/ostiary/ostiary/internal/testca"
)

// served is the certificate that a listener presents.
func served(t *testing.T, address string) []byte {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw //nolint:forcetypeassert // tls.Dialer's own
}

// TestAdminCertificateIsReloaded: a renewed certificate of the admin listener is presented without a restart, as the
// gate's own is.
func TestAdminCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	issue := func() {
		chain, key := testca.PEM(t, testca.New(t, "admin").Issue(t, testca.Subject("admin"), testca.Usage(x509.ExtKeyUsageServerAuth)))
		b.write(t, "admin.crt", chain)
		b.write(t, "admin.key", key)
	}
	issue()
	written, err := os.ReadFile(filepath.Join(b.dir, "ostiary.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte(`admin: {address: "127.0.0.1:0"}`)
	b.write(t, "ostiary.yaml", bytes.Replace(written, plain, []byte(`admin: {address: "127.0.0.1:0", tls: {certFile: admin.crt, keyFile: admin.key}}`), 1))

	s := start(t, b)
	before := served(t, s.admin)
	issue()
	s.log.await(t, 0, "configuration reloaded")
	if bytes.Equal(served(t, s.admin), before) {
		t.Error("the old certificate is still presented")
	}
	if _, metrics := get(t, "https://"+s.admin+"/metrics", ""); !bytes.Contains([]byte(metrics), []byte(`use="admin"`)) {
		t.Error("nobody is told when the certificate expires")
	}
}
