package audit_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/ostiary/ostiary/e2e/internal/kubectl"
)

// hookToken is the token that the webhooks know. No output may hold it.
const hookToken = "hook-5Jr8Wd2Pn7Xc4Vt"

// hooks answer TokenReviews: old takes TLS 1.0, clear is no TLS at all and gives its user a group of the cluster's own.
type hooks struct{ old, clear, sound *httptest.Server }

func startHooks() hooks {
	started := hooks{
		old: httptest.NewUnstartedServer(reviewer("hook:people")), clear: httptest.NewServer(reviewer("system:masters")), sound: httptest.NewUnstartedServer(reviewer("hook:people")),
	}
	started.old.TLS = &tls.Config{MinVersion: tls.VersionTLS10} // that it takes so old a version is the fault
	started.sound.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	for _, server := range []*httptest.Server{started.old, started.sound} {
		server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are refused are asked for
		server.StartTLS()
	}
	return started
}

func (h *hooks) close() {
	for _, server := range []*httptest.Server{h.old, h.clear, h.sound} {
		server.Close()
	}
}

// access is how an API server reaches a webhook.
func (*hooks) access(server *httptest.Server) kubectl.Access {
	return kubectl.Access{Server: server.URL, CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
}

// reviewer knows one token, of somebody in the given group.
func reviewer(group string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		if review.Spec.Token == hookToken {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "hook:dave", Groups: []string{group}}}
		}
		review.Spec = authenticationv1.TokenReviewSpec{}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review) // who asked may have gone
	}
}
