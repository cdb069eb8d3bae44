package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issueapi"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

const (
	// documentTimeout bounds how long a provider may take for its keys.
	documentTimeout = 5 * time.Second
	// maxDocument bounds what is read of them.
	maxDocument = 1 << 20
)

// issueAPI says who a caller is, and issues for others.
func (s *Server) issueAPI() (gateway.Local, error) {
	written := issueapi.Config{
		Authorizer: hub{s}, Logger: s.logger, Hub: func() string { return s.current.Load().clusters[0].gateway.Name },
	}
	if s.bureau != nil {
		written.Registrar, written.Book, written.Record, written.Bootstrap = s.bureau.registrar, s.bureau.book, s.keeper.ledger.Record, hub{s}
		written.Settings = func() *issueapi.Settings {
			c := s.current.Load().checked.Issuer
			return &issueapi.Settings{
				Longest: c.MaxLifetime, Usual: min(c.MaxLifetime, time.Hour), LongestToken: c.TokenLifetime, Grace: c.RotationGrace,
				MayCarry: func(name string) bool { return carries(c.AllowedSystemNames, name) },
			}
		}
	}
	return issueapi.New(written)
}

// carries reports whether a name is listed; a trailing "*" stands for any ending.
func carries(listed []string, name string) bool {
	return slices.ContainsFunc(listed, func(one string) bool {
		prefix, open := strings.CutSuffix(one, "*")
		return one == name || open && strings.HasPrefix(name, prefix)
	})
}

// Make implements issueapi.Bootstrap: the token is a Secret of the first cluster's, as kubeadm makes them.
func (h hub) Make(ctx context.Context, asked *adminapi.IssueBootstrapToken, expires time.Time, record func(*ledger.Entry) error) (id, token string, err error) {
	cluster := h.current.Load().clusters[0]
	if cluster.access == nil {
		return "", "", errNoAccount
	}
	token, entry, err := bootstraptoken.Make(expires, asked.Groups, asked.Description)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ledger.ErrEntry, err)
	}
	id = bootstraptoken.CredentialID(entry.ID)
	// On record first: one that was written and is on no record would be nobody's.
	if err := record(&ledger.Entry{
		ID: id, Mechanism: identity.BootstrapToken, Username: identity.BootstrapPrefix + entry.ID,
		Groups: append([]string{identity.GroupBootstrappers}, asked.Groups...), NotBefore: time.Now().UTC().Truncate(time.Second), NotAfter: expires, Cluster: cluster.gateway.Name,
	}); err != nil {
		return "", "", err
	}
	_, part, _ := strings.Cut(token, ".")
	data := map[string]string{
		bootstrapapi.BootstrapTokenIDKey: entry.ID, bootstrapapi.BootstrapTokenSecretKey: part,
		bootstrapapi.BootstrapTokenExpirationKey: expires.Format(time.RFC3339),
	}
	for _, usage := range asked.Usages {
		data[bootstrapapi.BootstrapTokenUsagePrefix+usage] = "true"
	}
	if len(asked.Groups) > 0 {
		data[bootstrapapi.BootstrapTokenExtraGroupsKey] = strings.Join(asked.Groups, ",")
	}
	if asked.Description != "" {
		data[bootstrapapi.BootstrapTokenDescriptionKey] = asked.Description
	}
	return id, token, cluster.access.CreateSecret(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: bootstrapapi.BootstrapTokenSecretPrefix + entry.ID},
		Type:       bootstrapapi.SecretTypeBootstrapToken, StringData: data,
	})
}

// errDocument says that a provider did not hand out what was asked for.
var errDocument = errors.New("the provider's answer is not 200, or too long")

// documents reads documents of a provider's over TLS. A nil roots means the host's.
func documents(roots *x509.CertPool) func(ctx context.Context, url string) ([]byte, error) {
	client := &http.Client{Timeout: documentTimeout, Transport: &http.Transport{
		TLSClientConfig: tlspolicy.Client(roots, "", nil), Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
	}}
	return func(ctx context.Context, url string) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
		if err == nil && (response.StatusCode != http.StatusOK || len(content) > maxDocument) {
			err = errDocument
		}
		return content, err
	}
}

var _ issueapi.Bootstrap = hub{}
