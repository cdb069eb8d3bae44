package agent

import (
	"fmt"
	"os"
	"path/filepath"
)

// Folder returns the folder of the socket, and makes it where it is not there: ostiary in the user's own cache folder, which
// the system lets nobody else into.
func Folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the agent's socket: %w", err)
	}
	folder := filepath.Join(cache, "ostiary")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("no folder for the agent's socket: %w", err)
	}
	return folder, nil
}
