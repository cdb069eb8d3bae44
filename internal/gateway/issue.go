package gateway

import (
	"fmt"
	"net/http"

	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// limitToken shortens what a request for a ServiceAccount token asks for, and has the answer looked at (G-24). All other
// requests pass.
func (x *exchange) limitToken(w *writer, r *http.Request, limiter *tokenrequest.Limiter) error {
	if limiter == nil || !x.info.IsResourceRequest || !tokenrequest.IsRequest(x.info.Verb, x.info.APIGroup, x.info.Resource, x.info.Subresource) {
		return nil
	}
	warning, err := limiter.Limit(r)
	if err != nil {
		return err
	}
	if warning != "" {
		w.warnings = append(w.warnings, warning)
	}
	x.limiter = limiter
	return nil
}

// noteIssued reads what was issued. Where lifetimes are bounded, a token that could not be seen, or that lives too long
// all the same, does not reach the caller.
func (x *exchange) noteIssued(response *http.Response) error {
	issued, err := x.limiter.Read(response)
	x.issued = issued
	if err != nil && x.limiter.Bounds() {
		return fmt.Errorf("%w: %w", errWithheld, err)
	}
	return nil
}
