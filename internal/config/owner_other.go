//go:build !unix

package config

// ofRoot reports whether a file belongs to root, and this process does not run as root: there is no root here.
func ofRoot(string) bool { return false }
