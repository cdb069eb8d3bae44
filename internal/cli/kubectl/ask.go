package kubectl

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/internal/facts/collect"
	"github.com/ostiary/ostiary/internal/version"
)

// maxPageBytes bounds one page of a list: 500 objects of the largest size that is usual, far below what a machine has.
const maxPageBytes = 128 << 20

// asker asks an API server for facts. It implements collect.Asker, and is safe for concurrent use.
type asker struct {
	base   string
	client *http.Client
}

// newAsker is a client without rate limits of its own: the collector asks for one page after the other.
func newAsker(config *rest.Config) (*asker, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "kubectl-ostiary/" + version.Get().Version
	config.Wrap((&wire{limit: maxPageBytes}).wrap)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, exitWith(ExitFailed, "cannot use the kubeconfig: %w", err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &asker{base: strings.TrimSuffix(config.Host, "/"), client: client}, nil
}

// Ask implements collect.Asker.
func (a *asker) Ask(ctx context.Context, question collect.Question) (collect.Answer, error) {
	address := a.base + question.Path
	if len(question.Query) > 0 {
		address += "?" + question.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return collect.Answer{}, err
	}
	accept := question.Accept
	if accept == "" {
		accept = "application/json"
	}
	request.Header.Set("Accept", accept)
	maps.Copy(request.Header, question.Header) // spelled as it is: that is what the question is about
	response, err := a.client.Do(request)
	if err != nil {
		return collect.Answer{}, err
	}
	body, err := io.ReadAll(response.Body) // wire has bounded it
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return collect.Answer{}, err
	}
	answer := collect.Answer{Status: response.StatusCode, Body: body}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		answer.RetryAfter = time.Duration(seconds) * time.Second
	}
	return answer, nil
}

var _ collect.Asker = (*asker)(nil)
