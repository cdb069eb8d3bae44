package gateway

import (
	"fmt"
	"net/http"

	"github.com/ostiary/ostiary/internal/tokenrequest"
)

// Recorder puts on record what was issued through the gate. An error keeps it from the caller.
type Recorder interface {
	RecordIssued(r *http.Request, issued *tokenrequest.Issued, to Caller) error
}

// limitToken shortens what a request for a ServiceAccount token asks for, and has the answer looked at (G-24). All other
// requests pass.
func (g *Gate) limitToken(w *writer, r *http.Request, x *exchange, limiter *tokenrequest.Limiter) error {
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
	x.limiter, x.recorder = limiter, g.recorder
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
	if issued == nil || x.recorder == nil {
		return nil
	}
	if err := x.recorder.RecordIssued(response.Request, issued, x.caller()); err != nil {
		return fmt.Errorf("%w: %w", errWithheld, err)
	}
	return nil
}
