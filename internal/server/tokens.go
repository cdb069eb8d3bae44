package server

import (
	"time"

	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/authn/statictoken"
)

// HashTokens replaces the clear-text tokens of the static token file at path by hashes, in place; see
// statictoken.HashFile for what it refuses. The commands reach mechanisms through this package only.
func HashTokens(path string) (statictoken.Report, error) { return statictoken.HashFile(path) }

// MakeBootstrapToken draws a bootstrap token, adds its hash to the file at path, and returns the token, once.
func MakeBootstrapToken(path string, expires time.Time, groups []string, description string) (string, error) {
	token, entry, err := bootstraptoken.Make(expires, groups, description)
	if err != nil {
		return "", err
	}
	return token, bootstraptoken.Append(path, entry)
}
