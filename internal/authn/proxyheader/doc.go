// Package proxyheader accepts identities that an authenticating proxy asserts in headers (spec section 6, G-30, G-31).
//
// The headers mean nothing by themselves: they are read only on a TLS connection whose client certificate chains to the
// request-header CA and bears one of the allowed names. They come from Request.Asserted, where the gate put them when it
// took them off the request; whatever this mechanism answers, none of them goes on.
package proxyheader
