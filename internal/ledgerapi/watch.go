package ledgerapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
)

// watchEvent is one line of a watch, as Kubernetes writes it.
type watchEvent struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

// watch hands on changes after the revision that the client names, until the client leaves or the gate ends the stream.
// object makes of an event what is written; nil passes it over.
func (a *API) watch(x *localapi.Exchange, follow func(ctx context.Context, after int64, each func(ledger.Event) error) error, object func(ledger.Event) any) {
	after, err := strconv.ParseInt(x.R.URL.Query().Get("resourceVersion"), 10, 64)
	if err != nil || after < 1 {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "resourceVersion: a watch begins where a list ended; give the list's")
		return
	}
	ctx, err := x.Caller.Open()
	if err != nil {
		x.Fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	}
	header := x.W.Header()
	header.Set("Content-Type", "application/json;stream=watch")
	header.Set("Cache-Control", "no-store")
	x.W.WriteHeader(http.StatusOK)
	controller := http.NewResponseController(x.W)
	_ = controller.Flush()
	encoder := json.NewEncoder(x.W)
	write := func(kind string, object any) error {
		if err := encoder.Encode(watchEvent{Type: kind, Object: object}); err != nil {
			return err
		}
		return controller.Flush()
	}
	err = follow(ctx, after, func(event ledger.Event) error {
		one := object(event)
		switch {
		case one == nil:
			return nil
		case event.Gone:
			return write(adminapi.EventDeleted, one)
		default:
			return write(adminapi.EventAdded, one)
		}
	})
	last := &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable, Message: "the gate ended the watch; list again",
	}
	if errors.Is(err, ledger.ErrCompacted) {
		last.Code, last.Reason, last.Message = http.StatusGone, metav1.StatusReasonExpired, "the changes asked for are not kept any more; list again"
	}
	_ = write(adminapi.EventError, last)
}
