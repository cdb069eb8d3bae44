package kubectl

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"

	// Contexts that still name the auth-provider "oidc" work in kubectl, so they work here.
	_ "k8s.io/client-go/plugin/pkg/client/auth/oidc"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const (
	// answerTimeout bounds one exchange on the wire, without the time that an exec plugin takes to get a credential: a
	// person may be signing in meanwhile. A gate answers within milliseconds; a slow link and a handshake fit well.
	answerTimeout = 30 * time.Second
	// maxAnswerBytes bounds what is read of one answer. The largest, a SelfSubjectReview of somebody in thousands of
	// groups, stays far below.
	maxAnswerBytes = 4 << 20
)

var errNotAGate = errors.New("not an Ostiary gate")

// server is the API server or gate that a kubeconfig context names.
type server struct {
	context string
	url     string
	client  *authenticationclient.AuthenticationV1Client
	wire    *wire
	config  *rest.Config
	http    *http.Client
}

// connect reads the kubeconfig. Nothing goes over the network yet.
func connect(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (*server, error) {
	loader := flags.ToRawKubeConfigLoader()
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, exitWith(ExitFailed, "cannot read the kubeconfig: %w", err)
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, exitWith(ExitFailed, "cannot use the kubeconfig: %w", err)
	}
	switch {
	case strings.HasPrefix(config.Host, "https://"):
	case len(raw.Contexts) == 0 && *flags.APIServer == "":
		return nil, exitWith(ExitFailed, "no kubeconfig names a server: give --kubeconfig, set KUBECONFIG, or give --server")
	default:
		return nil, exitWith(ExitFailed, "the server is %q, which is not https: a credential sent there could be read on the way; "+
			"name a context with an https server (--kubeconfig, --context) or give --server", config.Host)
	}
	contextName := raw.CurrentContext
	if *flags.Context != "" {
		contextName = *flags.Context
	}
	result := &server{context: contextName, url: config.Host, wire: &wire{limit: maxAnswerBytes}, config: rest.CopyConfig(config)}
	config.Wrap(result.wire.wrap)
	config.WarningHandler = rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})

	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, exitWith(ExitFailed, "cannot use the kubeconfig: %w", err)
	}
	// API servers never redirect. Following one would send the credential along, to whoever is named there
	// (CVE-2022-3172).
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	result.http = httpClient
	if result.client, err = authenticationclient.NewForConfigAndClient(config, httpClient); err != nil {
		return nil, exitWith(ExitFailed, "cannot use the kubeconfig: %w", err)
	}
	return result, nil
}

// whoAmI asks the server for whom it takes the caller.
func (s *server) whoAmI(ctx context.Context) (authenticationv1.UserInfo, error) {
	review, err := s.client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	switch {
	case err == nil:
		return review.Status.UserInfo, nil
	case apierrors.IsNotFound(err):
		return authenticationv1.UserInfo{}, exitWith(ExitFailed, "%s has no SelfSubjectReview: it is older than Kubernetes 1.28, "+
			"or no API server: %w", s.url, err)
	case apierrors.IsForbidden(err):
		return authenticationv1.UserInfo{}, exitWith(ExitFailed, "%s does not let this caller ask who they are; the cluster role "+
			"system:basic-user would: %w", s.url, err)
	default:
		return authenticationv1.UserInfo{}, s.explain(err)
	}
}

// gateStatus asks the server for its status as a gate. It fails with errNotAGate where the server is none.
func (s *server) gateStatus(ctx context.Context) (*adminapi.GateStatus, error) {
	body, err := s.client.RESTClient().Get().AbsPath(adminapi.StatusPath).DoRaw(ctx)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		// An API server asks its authorizer before it looks whether the path exists, so 403 says no more than 404: a
		// gate answers every authenticated caller.
		return nil, errNotAGate
	case err != nil:
		return nil, s.explain(err)
	}
	status, err := adminapi.ParseGateStatus(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAGate, err)
	}
	return &status, nil
}

// kubernetesVersion asks the API server for its version, as it answers on /version.
func (s *server) kubernetesVersion(ctx context.Context) ([]byte, error) {
	body, err := s.client.RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return nil, s.explain(err)
	}
	return body, nil
}

// explain says what a failed request means and what to do about it.
func (s *server) explain(err error) error {
	status, answered := errors.AsType[*apierrors.StatusError](err)
	switch {
	case !answered:
		return exitWith(ExitUnreachable, "no good answer from %s: %w", s.url, err)
	case apierrors.IsUnauthorized(err):
		return exitWith(ExitRefused, "%s refused the credential of context %q: it is missing, expired, revoked or for another "+
			"server: %w", s.url, s.context, err)
	default:
		return exitWith(ExitFailed, "%s answered with status %d: %w", s.url, status.Status().Code, err)
	}
}

// wire is the innermost transport: it bounds each exchange and keeps what the last handshake proved. It is safe for
// concurrent use.
type wire struct {
	// limit bounds what is read of one answer, in bytes.
	limit int64

	mu    sync.Mutex
	state *tls.ConnectionState
}

// connection returns the TLS state of the last answer; nil before there was one.
func (w *wire) connection() *tls.ConnectionState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// wrap is a transport.WrapperFunc.
func (w *wire) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.URL.Query().Get("watch") == "true" {
			return next.RoundTrip(request) // without an end; follow bounds each of its lines
		}
		ctx, cancel := context.WithTimeoutCause(request.Context(), answerTimeout, fmt.Errorf("no answer within %s", answerTimeout))
		defer cancel()
		response, err := next.RoundTrip(request.WithContext(ctx))
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, fmt.Errorf("%w: %w", cause, err)
			}
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, w.limit+1))
		if closeErr := response.Body.Close(); err == nil {
			err = closeErr
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("the answer broke off: %w", err)
		case int64(len(body)) > w.limit:
			return nil, fmt.Errorf("the answer is longer than %d bytes", w.limit)
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		defer w.mu.Unlock()
		w.state = response.TLS
		return response, nil
	})
}

// roundTripper is a function as http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
