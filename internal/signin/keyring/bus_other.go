//go:build !linux

package keyring

// reachable reports whether there can be a keyring; the system's own needs nothing.
func reachable() error { return nil }
