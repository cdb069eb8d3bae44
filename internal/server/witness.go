package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/clientcert"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/kubeapi"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// recordAgain is how long a credential that was issued, and could not be recorded, waits for the next try.
const recordAgain = time.Second

// witness puts on record what is issued before its eyes, through the gate or at clusters. A nil witness sees nothing.
type witness struct {
	ledger *ledger.Ledger
	logger *slog.Logger
	strict bool // of requested tokens: one that is not on record would be of no use
	signed bool // whether clusters are asked what they signed
}

// RecordIssued implements gateway.Recorder.
func (w *witness) RecordIssued(r *http.Request, issued *tokenrequest.Issued, to gateway.Caller) error {
	entry := &ledger.Entry{
		ID: issued.ID, Issuer: issued.Issuer, Mechanism: identity.TokenRequest, Username: issued.Subject,
		NotBefore: issued.IssuedAt, NotAfter: issued.Expires, Cluster: to.Cluster.Name, Origin: ledger.Issued,
		IssuedTo: ledger.Actor{Username: to.Identity.Username, Source: to.Source},
	}
	if cred := to.Credential; cred != nil {
		entry.IssuedTo.Mechanism, entry.IssuedTo.CredentialID = string(cred.Mechanism), cred.ID.String()
	}
	err := w.ledger.Record(r.Context(), entry)
	if err == nil || w.strict {
		return err
	}
	w.logger.Error("a token was issued that could not be recorded", slog.String("credential_id", issued.ID), slog.String("cause", err.Error()))
	return nil
}

var _ gateway.Recorder = (*witness)(nil)

// watch follows what a cluster signs, until life ends.
func (w *witness) watch(life context.Context, access *kubeapi.Access, cluster string) {
	if w == nil || !w.signed || access == nil {
		return
	}
	kubeapi.WatchSigned(life, access, func(request *certificatesv1.CertificateSigningRequest) {
		if request.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName && request.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName {
			return // no other is trusted for clients by Kubernetes' own rule
		}
		block, _ := pem.Decode(request.Status.Certificate)
		if block == nil {
			return
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			w.logger.Warn("a signed certificate cannot be read", slog.String("cluster", cluster), slog.String("request", request.Name), slog.String("cause", err.Error()))
			return
		}
		cred, ok := clientcert.Describe(leaf)
		if !ok {
			return // nobody comes in with it
		}
		entry := ledger.EntryOf(&authn.Request{Cluster: cluster}, cred)
		entry.Origin, entry.IssuedTo = ledger.Found, ledger.Actor{Username: request.Spec.Username}
		w.record(life, entry)
	})
}

// bootstrap takes note of a bootstrap token that a cluster has.
func (w *witness) bootstrap(life context.Context, cred *authn.Credential, cluster string) {
	if w == nil || cred == nil {
		return
	}
	entry := ledger.EntryOf(&authn.Request{Cluster: cluster}, cred)
	entry.Origin = ledger.Found
	go w.record(life, entry)
}

// record tries until the credential is on record, or never will be.
func (w *witness) record(life context.Context, entry *ledger.Entry) {
	for {
		err := w.ledger.Record(life, entry)
		switch {
		case err == nil || life.Err() != nil:
			return
		case errors.Is(err, ledger.ErrEntry) || errors.Is(err, ledger.ErrFull):
			w.logger.Error("a credential was issued that cannot be recorded", slog.String("credential_id", entry.ID), slog.String("cause", err.Error()))
			return
		}
		select {
		case <-life.Done():
			return
		case <-time.After(recordAgain):
		}
	}
}
