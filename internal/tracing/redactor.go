package tracing

import (
	"context"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
)

// The attributes of OpenTelemetry's HTTP conventions that hold what is private or what a client merely claims.
const (
	keyURL       attribute.Key = "url.full"            // with the query: the arguments of an exec command, selectors
	keyQuery     attribute.Key = "url.query"           // the same
	keyUserAgent attribute.Key = "user_agent.original" // a header
	keyClient    attribute.Key = "client.address"      // X-Forwarded-For, whoever sent it
)

// redactor takes out of spans what has no business in them, before they leave.
type redactor struct{ trace.SpanExporter }

// ExportSpans implements trace.SpanExporter.
func (r redactor) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	clean := make([]trace.ReadOnlySpan, 0, len(spans))
	for _, span := range spans {
		clean = append(clean, redacted{span})
	}
	return r.SpanExporter.ExportSpans(ctx, clean)
}

// redacted is a span without private attributes.
type redacted struct{ trace.ReadOnlySpan }

// Attributes implements trace.ReadOnlySpan.
func (r redacted) Attributes() []attribute.KeyValue {
	all := r.ReadOnlySpan.Attributes()
	kept := make([]attribute.KeyValue, 0, len(all))
	for _, a := range all {
		switch a.Key {
		case keyURL:
			kept = append(kept, keyURL.String(withoutQuery(a.Value.AsString())))
		case keyQuery, keyUserAgent, keyClient:
		default:
			kept = append(kept, a)
		}
	}
	return kept
}

// withoutQuery is a URL without what follows its path; empty if it cannot be read.
func withoutQuery(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}

var _ trace.SpanExporter = redactor{}
