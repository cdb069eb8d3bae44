package config

import "time"

// The defaults, and the bounds of what may be written instead. Bounds catch slips of the pen, such as a missing or an
// additional "000"; within them everything works.
const (
	// DefaultConnectionsPerSource leaves room for a whole office behind one address and still keeps one source from
	// taking all file descriptors of a gate with the usual limit of 65536.
	DefaultConnectionsPerSource = 1000
	maxConnectionsPerSource     = 1_000_000

	// DefaultStreamsPerConnection is Go's own default for HTTP/2 servers; a controller with some hundred watches puts
	// them all on one connection.
	DefaultStreamsPerConnection = 250
	maxStreamsPerConnection     = 10_000

	// DefaultHeaderBytes is what kube-apiserver takes (STR-7): a smaller bound refuses what the cluster would serve.
	DefaultHeaderBytes = 1 << 20
	minHeaderBytes     = 4 << 10
	maxHeaderBytes     = 16 << 20

	// DefaultDrainTimeout equals the terminationGracePeriodSeconds that Kubernetes gives to a pod.
	DefaultDrainTimeout = 30 * time.Second
	minDrainTimeout     = time.Second
	maxDrainTimeout     = 24 * time.Hour

	// minMaxLifetime: below it not even a credential that was just issued would come through.
	minMaxLifetime = time.Minute
	// maxMaxLifetime: a bound of more than a hundred years bounds nothing.
	maxMaxLifetime = 100 * 365 * 24 * time.Hour

	maxSamplingPerMillion = 1_000_000
)

// setDefaults fills in what was left out. It runs after validation, so that a mistake is reported as it was written.
func (c *Configuration) setDefaults() {
	limits := &c.Listen.Limits
	setDefault(&limits.ConnectionsPerSource, DefaultConnectionsPerSource)
	setDefault(&limits.StreamsPerConnection, DefaultStreamsPerConnection)
	setDefault(&limits.HeaderBytes, DefaultHeaderBytes)
	setDefault(&c.Listen.DrainTimeout, Duration(DefaultDrainTimeout))
	c.Lockout.setDefaults()
	if c.Issuer != nil {
		c.Issuer.setDefaults()
	}
	if c.SignIn != nil {
		c.SignIn.setDefaults()
	}
	if c.Authentication.ProxyHeader != nil {
		c.Authentication.ProxyHeader.setDefaults()
	}
	if c.Authentication.Webhook != nil {
		c.Authentication.Webhook.setDefaults()
	}
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}
