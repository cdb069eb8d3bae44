package balancer

import (
	"net/netip"
	"strings"
)

// maxHops bounds what is read: more balancers stand in front of nothing.
const maxHops = 100

// parseXForwardedFor reads addresses separated by commas; some balancers add ports.
func parseXForwardedFor(lines []string) ([]netip.Addr, error) {
	var hops []netip.Addr
	for _, line := range lines {
		for text := range strings.SplitSeq(line, ",") {
			hop, err := parseHop(strings.TrimSpace(text))
			if err != nil || len(hops) == maxHops {
				return nil, errAddress
			}
			hops = append(hops, hop)
		}
	}
	return hops, nil
}

// parseForwarded reads the "for" of each element (RFC 7239 section 4). An element without one, or with an obfuscated or
// unknown one, cannot be read: whose request it is would be anybody's guess.
func parseForwarded(lines []string) ([]netip.Addr, error) {
	var hops []netip.Addr
	for _, line := range lines {
		elements, err := split(line, ',')
		if err != nil {
			return nil, err
		}
		for _, element := range elements {
			hop, err := hopOf(element)
			if err != nil || len(hops) == maxHops {
				return nil, errAddress
			}
			hops = append(hops, hop)
		}
	}
	return hops, nil
}

// hopOf reads one element's "for".
func hopOf(element string) (netip.Addr, error) {
	pairs, err := split(element, ';')
	if err != nil {
		return netip.Addr{}, err
	}
	var hop netip.Addr
	for _, pair := range pairs {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || !strings.EqualFold(name, "for") {
			continue
		}
		if hop.IsValid() {
			return netip.Addr{}, errAddress
		}
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if hop, err = parseHop(value); err != nil {
			return netip.Addr{}, err
		}
	}
	if !hop.IsValid() {
		return netip.Addr{}, errAddress
	}
	return hop, nil
}

// split cuts at a separator outside of quotes. An address needs no escape, so that one is refused.
func split(text string, separator byte) ([]string, error) {
	var parts []string
	quoted, start := false, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\\':
			return nil, errAddress
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	if quoted {
		return nil, errAddress
	}
	return append(parts, text[start:]), nil
}

// parseHop reads an address with or without a port, IPv6 in brackets or bare.
func parseHop(text string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone(""), nil
	}
	if bare, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(bare, "]"); !ok {
			return netip.Addr{}, errAddress
		}
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, errAddress
	}
	return address.Unmap().WithZone(""), nil
}
