package issuer

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// rootFileMode lets its owner alone read a root.
const rootFileMode = 0o400

// NewRootFile makes a root and writes it to a file that is not there yet. It returns the root's certificate.
func NewRootFile(path string, now time.Time) (*x509.Certificate, error) {
	text, err := NewRoot(now)
	if err != nil {
		return nil, err
	}
	root, err := ParseRoot(text, now)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, rootFileMode) //nolint:gosec // the operator named it
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is there already; a root is never overwritten", path)
	}
	if err != nil {
		return nil, err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return root.Certificate, errors.Join(folder.Sync(), folder.Close())
}

// PEM is a certificate as text.
func PEM(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: certificate.Raw})
}
