// Package metrics counts what happens at the gate, in Prometheus' terms and Kubernetes' naming manner. Labels are
// closed lists and cluster names from the configuration, never users, credentials or paths: a client cannot make new
// series.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ostiary/ostiary/internal/accesslog"
)

// Metrics holds every metric of the process. It is safe for concurrent use, and a Sink of decisions.
type Metrics struct {
	registry *prometheus.Registry

	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	reviews     *prometheus.CounterVec
	reviewTime  *prometheus.HistogramVec
	streams     *prometheus.GaugeVec
	refused     prometheus.Counter
	forged      prometheus.Counter
	removed     prometheus.Counter
	reloads     *prometheus.CounterVec
	reloaded    prometheus.Gauge
	expiration  *prometheus.GaugeVec
	clusterUp   *prometheus.GaugeVec
	credentials *prometheus.CounterVec
	ledgerBytes *prometheus.GaugeVec
}

// New returns metrics in a registry of their own, with Go's and the process' standard ones.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ostiary_requests_total",
			Help: "Requests decided, by cluster, mechanism, verdict, reason and status code.",
		}, []string{"cluster", "mechanism", "verdict", "reason", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ostiary_request_duration_seconds",
			Help: "Time from a request's arrival to the end of its answer, without streams, by cluster and verdict.",
			// From below the gate's own share to the API server's own deadline of a minute.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"cluster", "verdict"}),
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ostiary_token_reviews_total",
			Help: "Tokens that API servers asked about, by caller, mechanism, verdict, reason and status code.",
		}, []string{"caller", "mechanism", "verdict", "reason", "code"}),
		reviewTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ostiary_token_review_duration_seconds",
			Help: "Time from a review's arrival to the end of its answer, by caller and verdict.",
			// From a token seen before to the 30 seconds after which kube-apiserver gives up.
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"caller", "verdict"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ostiary_streams",
			Help: "Long-running requests under way (watch, exec, attach, port-forward, logs), by cluster.",
		}, []string{"cluster"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ostiary_connections_refused_total",
			Help: "Connections closed because their source had too many open.",
		}),
		forged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ostiary_forged_certificates_total",
			Help: "Certificates that were refused although a real issuing key signed them: nobody put them on record. Anything but 0 is an emergency.",
		}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ostiary_ledger_entries_removed_total",
			Help: "Entries of credentials that were deleted from the ledger's store past the ledger, as each replica noticed. Anything but 0 says that somebody else writes there.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ostiary_config_reloads_total",
			Help: "Attempts to take over changed configuration, by result.",
		}, []string{"result"}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ostiary_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration in force was taken over.",
		}),
		expiration: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ostiary_certificate_expiration_timestamp_seconds",
			Help: "When a certificate that the gate itself uses expires, by use.",
		}, []string{"use"}),
		clusterUp: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ostiary_cluster_up",
			Help: "Whether the cluster's API server answered the last probe (1) or not (0).",
		}, []string{"cluster"}),
		ledgerBytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ostiary_ledger_store_bytes",
			Help: "Size of the ledger's store: used, and its quota. Above 85 % no credential is recorded any more; revocations are.",
		}, []string{"kind"}),
		credentials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ostiary_authentications_total",
			Help: "Decisions on credentials, by mechanism and reason (G-01: mechanisms nobody uses show here).",
		}, []string{"mechanism", "reason"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ostiary_build_info", Help: "Always 1; the label holds the version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
		m.requests, m.duration, m.reviews, m.reviewTime, m.streams, m.refused, m.forged, m.removed, m.reloads, m.reloaded, m.expiration, m.clusterUp, m.credentials, m.ledgerBytes,
	)
	return m
}

// Record implements accesslog.Sink.
func (m *Metrics) Record(e *accesslog.Event) {
	switch e.Kind {
	case accesslog.Locked, accesslog.Unlocked:
		return // counted where they are made
	case accesslog.StreamStart:
		m.streams.WithLabelValues(e.Cluster).Inc()
		return
	case accesslog.Review:
		m.reviewTime.WithLabelValues(e.Cluster, string(e.Verdict)).Observe(e.Duration.Seconds())
		m.reviews.WithLabelValues(e.Cluster, e.Mechanism, string(e.Verdict), e.Reason, code(e.Status)).Inc()
	case accesslog.StreamEnd:
		m.streams.WithLabelValues(e.Cluster).Dec()
		m.requests.WithLabelValues(e.Cluster, e.Mechanism, string(e.Verdict), e.Reason, code(e.Status)).Inc()
	case accesslog.Request:
		m.duration.WithLabelValues(e.Cluster, string(e.Verdict)).Observe(e.Duration.Seconds())
		m.requests.WithLabelValues(e.Cluster, e.Mechanism, string(e.Verdict), e.Reason, code(e.Status)).Inc()
	}
	m.credentials.WithLabelValues(e.Mechanism, e.Reason).Inc()
}

// code is the status as a label. An API server could answer with any number; those outside HTTP's become one.
func code(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status)
}

// ConnectionRefused counts a connection that was turned away.
func (m *Metrics) ConnectionRefused() { m.refused.Inc() }

// Forged counts a certificate that a real issuing key signed and nobody put on record.
func (m *Metrics) Forged() { m.forged.Inc() }

// Removed counts entries that were deleted past the ledger.
func (m *Metrics) Removed(entries int) { m.removed.Add(float64(entries)) }

// Reloaded counts an attempt to take over changed configuration.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.reloaded.SetToCurrentTime()
}

// CertificateExpires notes when a certificate that the gate uses expires.
func (m *Metrics) CertificateExpires(use string, at time.Time) {
	m.expiration.WithLabelValues(use).Set(float64(at.Unix()))
}

// ClusterUp notes the outcome of a probe.
func (m *Metrics) ClusterUp(cluster string, up bool) {
	value := 0.0
	if up {
		value = 1
	}
	m.clusterUp.WithLabelValues(cluster).Set(value)
}

// LedgerRoom notes how many bytes of the ledger's store are used, and how many there are.
func (m *Metrics) LedgerRoom(used, quota int64) {
	m.ledgerBytes.WithLabelValues("used").Set(float64(used))
	m.ledgerBytes.WithLabelValues("quota").Set(float64(quota))
}

// Handler serves the metrics for Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

var _ accesslog.Sink = (*Metrics)(nil)
