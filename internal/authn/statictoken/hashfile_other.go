//go:build !unix || solaris || aix

package statictoken

import (
	"errors"
	"fmt"
	"os"
)

// lock refuses: without a lock, and without the notion of owner and links, a conversion in place is not safe. Convert
// the file on the machine that serves it.
func lock(*os.File) error {
	return fmt.Errorf("converting in place needs a Unix system: %w", errors.ErrUnsupported)
}

func keepOwner(*os.File, os.FileInfo) error { return errors.ErrUnsupported }

func linkCount(os.FileInfo) uint64 { return 1 }
