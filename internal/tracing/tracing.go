// Package tracing sends OpenTelemetry traces of requests, where the configuration asks for them. It is the only
// importer of OpenTelemetry. Spans hold what OpenTelemetry says of HTTP requests, path included, and never a header, a
// user or a credential.
package tracing

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

// perMillion is the unit of the configured sampling.
const perMillion = 1_000_000

// shutdownTimeout is how long the last spans may take to be sent when the server stops.
const shutdownTimeout = 5 * time.Second

// Provider sends traces. A nil Provider sends none and changes nothing.
type Provider struct{ provider *trace.TracerProvider }

// New returns a provider for the configuration, or nil if there is none.
func New(ctx context.Context, c *config.CheckedTracing, version string) (*Provider, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // a nil Provider is the one that does nothing
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(c.Endpoint.String())}
	if c.Endpoint.Scheme == "https" {
		var roots *x509.CertPool
		if c.Authorities != nil {
			roots = c.Authorities.Pool()
		}
		options = append(options, otlptracehttp.WithTLSClientConfig(tlspolicy.Client(roots, "", nil)))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return &Provider{trace.NewTracerProvider(
		trace.WithBatcher(redactor{exporter}),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(float64(c.SamplingPerMillion)/perMillion))),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "ostiary"), attribute.String("service.version", version),
		)),
	)}, nil
}

// Handler traces the requests that next serves.
func (p *Provider) Handler(next http.Handler) http.Handler {
	if p == nil {
		return next
	}
	return otelhttp.NewHandler(next, "gate", otelhttp.WithTracerProvider(p.provider), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// Transport hands the trace on to the API server.
func (p *Provider) Transport(next http.RoundTripper) http.RoundTripper {
	if p == nil {
		return next
	}
	return otelhttp.NewTransport(next, otelhttp.WithTracerProvider(p.provider), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// Shutdown sends what is left.
func (p *Provider) Shutdown(ctx context.Context) {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	_ = p.provider.Shutdown(ctx)
}
