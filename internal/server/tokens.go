package server

import "github.com/ostiary/ostiary/internal/authn/statictoken"

// HashTokens replaces the clear-text tokens of the static token file at path by hashes, in place; see
// statictoken.HashFile for what it refuses. The commands reach mechanisms through this package only.
func HashTokens(path string) (statictoken.Report, error) { return statictoken.HashFile(path) }
