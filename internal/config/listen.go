package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// configuration checks everything. What it returns is whole only if no mistake was noted.
func (c *checker) configuration(written *Configuration) *Checked {
	if written.APIVersion != APIVersion {
		c.constant(field.NewPath("apiVersion"), written.APIVersion, APIVersion)
	}
	if written.Kind != Kind {
		c.constant(field.NewPath("kind"), written.Kind, Kind)
	}
	checked := &Checked{
		Listen: c.listen(field.NewPath("listen"), &written.Listen),
		Admin:  c.admin(field.NewPath("admin"), written.Admin, written.Listen.Address),
	}
	c.authentication(field.NewPath("authentication"), &written.Authentication, checked)
	checked.Listen.Balancers = c.balancers(field.NewPath("listen"), &written.Listen, checked.ClientCertificate)
	checked.Clusters = c.clusters(field.NewPath("clusters"), written.Clusters, checked)
	c.clusterTokens(field.NewPath("authentication"), &written.Authentication, checked)
	checked.TokenRequests = c.tokenRequests(field.NewPath("tokenRequests"), written.TokenRequests)
	checked.TokenReview = c.tokenReview(field.NewPath("tokenReview"), written, checked)
	checked.GroupRules = c.groupRules(field.NewPath("groupRules"), written)
	checked.Tracing = c.tracing(field.NewPath("tracing"), written.Tracing)
	checked.Ledger = c.ledger(field.NewPath("ledger"), written.Ledger, checked.Clusters)
	checked.Issuer = c.issuer(field.NewPath("issuer"), written.Issuer, checked)
	checked.SignIn = c.signIn(field.NewPath("signIn"), written.SignIn, checked)
	checked.Lockout = c.lockout(field.NewPath("lockout"), &written.Lockout)
	checked.AccessLog = c.accessLog(field.NewPath("accessLog"), written.AccessLog)
	return checked
}

func (c *checker) constant(p *field.Path, value, want string) {
	if value == "" {
		c.required(p, "write "+strconv.Quote(want))
		return
	}
	c.errs = append(c.errs, field.NotSupported(p, value, []string{want}))
}

func (c *checker) listen(p *field.Path, written *Listen) CheckedListen {
	c.address(p.Child("address"), written.Address)
	limits := p.Child("limits")
	c.inRange(limits.Child("connectionsPerSource"), written.Limits.ConnectionsPerSource, 1, maxConnectionsPerSource)
	c.inRange(limits.Child("streamsPerConnection"), written.Limits.StreamsPerConnection, 1, maxStreamsPerConnection)
	c.inRange(limits.Child("headerBytes"), written.Limits.HeaderBytes, minHeaderBytes, maxHeaderBytes)
	c.durationInRange(p.Child("drainTimeout"), written.DrainTimeout, minDrainTimeout, maxDrainTimeout)

	checked := CheckedListen{Address: written.Address}
	if pair := c.serverPair(p.Child("tls"), written.TLS); pair != nil {
		checked.TLS = *pair
	}
	return checked
}

func (c *checker) admin(p *field.Path, written *Admin, gate string) *CheckedAdmin {
	if written == nil {
		return nil
	}
	if c.address(p.Child("address"), written.Address) && addressesCollide(written.Address, gate) {
		c.invalid(p.Child("address"), written.Address, "is also listen.address (%s); give the admin listener a port of its own", gate)
	}
	checked := &CheckedAdmin{Address: written.Address}
	if written.TLS != nil {
		checked.TLS = c.serverPair(p.Child("tls"), *written.TLS)
	}
	return checked
}

// inRange accepts 0, which stands for a number that was left out.
func (c *checker) inRange(p *field.Path, value, lowest, highest int) {
	if value != 0 && (value < lowest || value > highest) {
		c.invalid(p, value, "must be between %d and %d; leave it out for the default", lowest, highest)
	}
}

// durationInRange accepts 0, which stands for a duration that was left out.
func (c *checker) durationInRange(p *field.Path, value Duration, lowest, highest time.Duration) {
	if value != 0 && (time.Duration(value) < lowest || time.Duration(value) > highest) {
		c.invalid(p, value.String(), "must be between %s and %s; leave it out for the default", Duration(lowest), Duration(highest))
	}
}

// address checks "host:port" and reports whether it is good.
func (c *checker) address(p *field.Path, address string) bool {
	if address == "" {
		c.required(p, `write host and port, for example ":6443" or "127.0.0.1:8080"`)
		return false
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		c.invalid(p, address, `must be host and port, for example ":6443", "127.0.0.1:8080" or "[::1]:8080"`)
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		c.invalid(p, address, "the port must be a number from 0 to 65535")
		return false
	}
	if host != "" && !isHost(host) {
		c.invalid(p, address, "the host must be an IP address, a DNS name, or empty for all addresses")
		return false
	}
	return true
}

// isHost reports whether host is an IP address or a DNS name.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0
}

// addressesCollide reports whether two listeners cannot have these addresses at the same time. It does not resolve
// names. Port 0 is a free port and collides with nothing.
func addressesCollide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	numberA, errA := strconv.ParseUint(portA, 10, 16)
	numberB, errB := strconv.ParseUint(portB, 10, 16)
	if errA != nil || errB != nil || numberA != numberB || numberA == 0 {
		return false
	}
	return isWildcard(hostA) || isWildcard(hostB) || strings.EqualFold(hostA, hostB)
}

func isWildcard(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "" || (err == nil && address.IsUnspecified())
}
