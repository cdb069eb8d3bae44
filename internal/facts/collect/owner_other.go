//go:build !unix

package collect

import "io/fs"

// hasOwners says whether permission bits and owners mean something here.
const hasOwners = false

func owner(fs.FileInfo) uint32 { return 0 }
