package issuer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// issuerLifetime is how long an issuing key lasts. The next is prepared at half of it, so that every replica has known it
	// for long when it begins to sign, at five sixths; what the old one signed ends within the last sixth.
	issuerLifetime = 7 * 24 * time.Hour
	prepareAt      = issuerLifetime / 2
	activateAt     = issuerLifetime / 6 * 5
	// rotateEvery is how often it is looked whether the next is due.
	rotateEvery = time.Minute
	// publishWithin bounds how long a new issuing key may take to be on record.
	publishWithin = 10 * time.Second
)

// Config is what an Authority is made of. All fields are required.
type Config struct {
	Root *Root
	// Replica names this process, for people.
	Replica string
	// Publish puts an issuing key on record; until it returns nil, nothing is signed by it.
	Publish func(ctx context.Context, issuing *x509.Certificate) error
	// Dead reports whether an issuing key was shut out.
	Dead func(issuing *x509.Certificate) bool
	// Logger takes what operators should know.
	Logger *slog.Logger
}

// Authority issues, by issuing keys that it makes, publishes and replaces. It is safe for concurrent use.
type Authority struct {
	config Config

	mu            sync.Mutex
	current, next *issuing // nil before the first is on record

	wake chan struct{} // has room for one: somebody found the current key shut out
}

// issuing is an issuing key.
type issuing struct {
	certificate *x509.Certificate
	signer      crypto.Signer
}

// ErrNoIssuer says that there is no issuing key that counts just now; asking again in a second may help.
var ErrNoIssuer = errors.New("there is no issuing key on record yet")

// New returns an authority that has no issuing key until Run has put one on record.
func New(config Config) (*Authority, error) {
	if config.Root == nil || config.Publish == nil || config.Dead == nil || config.Logger == nil {
		return nil, errors.New("issuer: the configuration is not complete")
	}
	return &Authority{config: config, wake: make(chan struct{}, 1)}, nil
}

// Run makes and replaces issuing keys until ctx ends. What was issued stays good.
func (a *Authority) Run(ctx context.Context) error {
	const again = time.Second // while there is none
	for {
		after := rotateEvery
		if err := a.Rotate(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.config.Logger.Warn("an issuing key cannot be put on record", slog.String("cause", err.Error()))
			after = again
		}
		timer := time.NewTimer(after)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-a.wake:
			timer.Stop()
		}
	}
}

// Rotate sees that there is an issuing key that counts, and prepares and activates the next one when its time has come.
func (a *Authority) Rotate(ctx context.Context, now time.Time) error {
	a.mu.Lock()
	current, next := a.current, a.next
	a.mu.Unlock()
	if next != nil && a.config.Dead(next.certificate) {
		next = nil
	}
	switch {
	case current != nil && a.config.Dead(current.certificate):
		a.config.Logger.Warn("the issuing key was shut out; another takes its place", slog.String("issuer", KeyID(current.certificate)))
		current, next = next, nil
	case current != nil && next != nil && now.After(current.certificate.NotBefore.Add(activateAt)):
		current, next = next, nil
	}
	var err error
	if current == nil {
		current, err = a.make(ctx, now)
	} else if next == nil && now.After(current.certificate.NotBefore.Add(prepareAt)) {
		next, err = a.make(ctx, now)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current, a.next = current, next
	return err
}

// make makes an issuing key and puts it on record.
func (a *Authority) make(ctx context.Context, now time.Time) (*issuing, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	id := NewID()
	template := &x509.Certificate{
		SerialNumber: id.serial(), Subject: pkix.Name{CommonName: "Ostiary issuer " + hex.EncodeToString(id[:4]) + " " + a.config.Replica},
		NotBefore: now.Add(-backdate).UTC().Truncate(time.Second), NotAfter: now.Add(issuerLifetime).UTC().Truncate(time.Second),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.config.Root.Certificate, key.Public(), a.config.Root.Signer)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err == nil {
		err = CheckIssuing(certificate, a.config.Root.Certificate)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := a.config.Publish(ctx, certificate); err != nil {
		return nil, err
	}
	a.config.Logger.Info("an issuing key is on record", slog.String("issuer", KeyID(certificate)), slog.Time("ends", certificate.NotAfter))
	return &issuing{certificate: certificate, signer: key}, nil
}

// Ready returns ErrNoIssuer before the first issuing key is on record.
func (a *Authority) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil {
		return ErrNoIssuer
	}
	return nil
}

// Draft builds a certificate that the current issuing key is going to sign. Errors are ErrNoIssuer and ErrLint.
func (a *Authority) Draft(order Order, now time.Time) (*Draft, error) {
	a.mu.Lock()
	current := a.current
	a.mu.Unlock()
	switch {
	case current == nil:
		return nil, ErrNoIssuer
	case a.config.Dead(current.certificate):
		select {
		case a.wake <- struct{}{}:
		default:
		}
		return nil, ErrNoIssuer
	}
	return draft(current, order, now)
}

// CheckIssuing returns an error unless a certificate is one of an issuing key under root. Its time is not judged.
func CheckIssuing(issuing, root *x509.Certificate) error {
	switch {
	case !issuing.IsCA || !issuing.BasicConstraintsValid || !issuing.MaxPathLenZero || issuing.KeyUsage != x509.KeyUsageCertSign:
		return errors.New("it is not the certificate of an issuing key")
	case issuing.NotAfter.After(root.NotAfter):
		return errors.New("it outlives the root")
	default:
		return issuing.CheckSignatureFrom(root)
	}
}

// KeyID names an issuing key by its subject key identifier, as certificates name it that it signed.
func KeyID(issuing *x509.Certificate) string { return hex.EncodeToString(issuing.SubjectKeyId) }
