package policy

import (
	"fmt"
	"net/netip"
)

// allowsSource reports whether requests from source may use the mechanism. Where networks are set, a source that is not
// known is in none of them.
func (m *mechanismRules) allowsSource(source netip.Addr) bool {
	if len(m.networks) == 0 {
		return true
	}
	// An IPv4 client of a listener for both families arrives as ::ffff:a.b.c.d; a zone names an interface of this
	// machine, not a network, and no prefix contains an address with one.
	source = source.Unmap().WithZone("")
	for _, network := range m.networks {
		if network.Contains(source) {
			return true
		}
	}
	return false
}

// mappedBits is how much of an IPv4 address in IPv6 form stands before the IPv4 address.
const mappedBits = 96

// plainPrefix brings a prefix into the form that allowsSource compares with: IPv4 networks in IPv4 form.
func plainPrefix(prefix netip.Prefix) (netip.Prefix, error) {
	if !prefix.IsValid() {
		return netip.Prefix{}, fmt.Errorf("the network %s is not valid", prefix)
	}
	if !prefix.Addr().Is4In6() {
		return prefix, nil
	}
	if prefix.Bits() < mappedBits {
		return netip.Prefix{}, fmt.Errorf("the network %s is wider than all of IPv4: write the IPv4 and IPv6 networks that you mean", prefix)
	}
	return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mappedBits), nil
}
