package kubectl_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
)

// issuing makes a gate that issues what it is asked for, if the question is in order.
func issuing(mux *http.ServeMux, prefix string) {
	end := time.Date(2125, 1, 1, 0, 0, 0, 0, time.UTC)
	read := func(w http.ResponseWriter, r *http.Request) (adminapi.Issue, bool) {
		var asked adminapi.Issue
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Is(adminapi.IssueKind) != nil || asked.Status != nil {
			sends(http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest))(w, r)
			return asked, false
		}
		return asked, true
	}
	mux.HandleFunc("POST "+prefix+adminapi.IssuePath, func(w http.ResponseWriter, r *http.Request) {
		asked, ok := read(w, r)
		if !ok {
			return
		}
		asked.Status = &adminapi.IssueStatus{CredentialID: "OSTIARY=1", ExpiresAt: end}
		switch {
		case asked.Certificate != nil:
			request, err := x509.ParseCertificateRequest(asked.Certificate.CSR)
			if err != nil || request.CheckSignature() != nil || asked.Certificate.Username != "backup" || len(asked.Certificate.Groups) != 1 || asked.Certificate.Lifetime != "12h0m0s" {
				sends(http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest))(w, r)
				return
			}
			asked.Status.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}))
		case asked.BootstrapToken != nil && len(asked.BootstrapToken.Usages) == 2 && asked.BootstrapToken.Description == "rack 7":
			asked.Status.Token = "abcdef.0123456789abcdef"
		case asked.StaticToken != nil:
			asked.Status.Token = map[string]string{"nothing": "", "hostile": "\x1b[2J", "prometheus": "gw1.secret"}[asked.StaticToken.Username]
		}
		sends(http.StatusCreated, asked)(w, r)
	})
	mux.HandleFunc("POST "+prefix+adminapi.RotatePath, func(w http.ResponseWriter, r *http.Request) {
		if asked, ok := read(w, r); ok {
			asked.Status = &adminapi.IssueStatus{CredentialID: "STATIC=2", Token: "gw1.new", ExpiresAt: end, OldExpiresAt: end}
			sends(http.StatusCreated, asked)(w, r)
		}
	})
	mux.HandleFunc("POST "+prefix+"/api/v1/namespaces/ci/serviceaccounts/deployer/token", func(w http.ResponseWriter, r *http.Request) {
		var asked authenticationv1.TokenRequest
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Spec.Audiences) != 1 || *asked.Spec.ExpirationSeconds != 600 {
			sends(http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest))(w, r)
			return
		}
		claims := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://cluster.example","jti":"42"}`))
		asked.Status = authenticationv1.TokenRequestStatus{
			Token: base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + claims + ".x", ExpirationTimestamp: metav1.NewTime(end),
		}
		sends(http.StatusCreated, asked)(w, r)
	})
	missing := failure(http.StatusNotFound, metav1.StatusReasonNotFound)
	missing.Message = `serviceaccounts "nobody" not found`
	mux.HandleFunc("POST "+prefix+"/api/v1/namespaces/ci/serviceaccounts/nobody/token", sends(http.StatusNotFound, missing))
}

// writeMachine writes what a machine makes for its certificate, and the CA of the server, into a script's folder.
func writeMachine(folder string, server *httptest.Server) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	forged := append([]byte(nil), request...)
	forged[len(forged)-1] ^= 1
	for name, block := range map[string]*pem.Block{
		"machine.csr": {Type: "CERTIFICATE REQUEST", Bytes: request}, "forged.csr": {Type: "CERTIFICATE REQUEST", Bytes: forged},
		"machine.key": {Type: "PRIVATE KEY", Bytes: private}, "server-ca.crt": {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
