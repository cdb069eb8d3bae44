//go:build !linux

package agent

// harden does nothing: this system has no cheap way to keep a process's memory from its own user.
func harden() error { return nil }

// Harden is harden for a process that hands a key on.
func Harden() error { return nil }
