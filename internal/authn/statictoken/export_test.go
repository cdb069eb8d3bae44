package statictoken

// HashFileMeddled is HashFile with a hook at the worst moment: after the file was read, before it is replaced.
func HashFileMeddled(path string, beforeRename func()) (Report, error) {
	return hashFile(path, beforeRename)
}
