package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Load reads and checks the configuration file at path, and every file that it names. The error is an *InvalidError
// that lists all mistakes. Load changes nothing, on success or failure.
func Load(path string) (*Checked, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, &InvalidError{File: path, Mistakes: []Mistake{{Message: "cannot be found: " + err.Error()}}}
	}
	data, err := ReadFile(absolute, MaxConfigurationBytes)
	if err != nil {
		message := fmt.Sprintf("cannot be read: %s; check the name and its permissions", err)
		return nil, &InvalidError{File: path, Mistakes: []Mistake{{Message: message}}, files: []string{absolute}}
	}
	checked, err := check(data, path, filepath.Dir(absolute), []string{absolute}, time.Now())
	return checked, err
}

// Parse checks the configuration in data as Load does, at the time now. Relative file names are relative to dir, which
// must be absolute. The name is for messages only.
func Parse(data []byte, name, dir string, now time.Time) (*Checked, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("config: the folder %q for relative file names must be absolute", dir)
	}
	return check(data, name, dir, nil, now)
}

func check(data []byte, name, dir string, files []string, now time.Time) (*Checked, error) {
	doc := decode(data)
	c := &checker{dir: dir, now: now, files: files, contents: map[string]fileContent{}}
	checked := c.configuration(&doc.written)

	mistakes := append(slices.Clone(doc.mistakes), doc.located(c.without(doc.broken))...)
	if len(mistakes) > 0 {
		slices.SortStableFunc(mistakes, func(a, b Mistake) int { return a.Line - b.Line })
		return nil, &InvalidError{File: name, Mistakes: mistakes, files: c.files}
	}
	doc.written.setDefaults()
	checked.written = doc.written
	checked.Listen.Limits = doc.written.Listen.Limits
	checked.Listen.DrainTimeout = time.Duration(doc.written.Listen.DrainTimeout)
	for i := range c.warnings {
		c.warnings[i].Line = doc.line(c.warnings[i].Path)
	}
	checked.Warnings = c.warnings
	checked.files = c.files
	checked.Digest = c.digest(data)
	return checked, nil
}

// checker walks a written configuration once, collects all mistakes, and builds the checked form on its way.
type checker struct {
	dir      string
	now      time.Time
	errs     field.ErrorList
	warnings []Mistake
	files    []string
	contents map[string]fileContent
	// anonymousByFile says that the AuthenticationConfiguration turns anonymous access on.
	anonymousByFile bool
}

// fileContent is what reading a file gave; every file is read once, so that all parts see the same content.
type fileContent struct {
	data []byte
	mode os.FileMode
	err  error
}

func (c *checker) invalid(p *field.Path, value any, format string, args ...any) {
	c.errs = append(c.errs, field.Invalid(p, value, fmt.Sprintf(format, args...)))
}

func (c *checker) required(p *field.Path, detail string) {
	c.errs = append(c.errs, field.Required(p, detail))
}

func (c *checker) forbidden(p *field.Path, format string, args ...any) {
	c.errs = append(c.errs, field.Forbidden(p, fmt.Sprintf(format, args...)))
}

// duplicate says what to do, which field.Duplicate does not.
func (c *checker) duplicate(p *field.Path, value, detail string) {
	e := field.Duplicate(p, value)
	e.Detail = detail
	c.errs = append(c.errs, e)
}

func (c *checker) warn(p *field.Path, format string, args ...any) {
	c.warnings = append(c.warnings, Mistake{Path: p.String(), Message: fmt.Sprintf(format, args...)})
}

// without returns the mistakes that are not at, below or above the broken paths: a value that could not be decoded looks
// as if it had been left out.
func (c *checker) without(broken []string) field.ErrorList {
	return slices.DeleteFunc(slices.Clone(c.errs), func(e *field.Error) bool {
		return slices.ContainsFunc(broken, func(path string) bool {
			return path == "" || path == "<nil>" || within(e.Field, path) || within(path, e.Field)
		})
	})
}

// within reports whether path is outer or something inside it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// absolute makes name absolute, relative to the folder of the configuration.
func (c *checker) absolute(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(c.dir, name)
}

// Bounds on files, far above what makes sense and far below what hurts.
const (
	maxPEMBytes   = 8 << 20  // some thousand CA certificates
	maxTokenBytes = 64 << 20 // half a million token lines
)

// read returns the content of the file that the field at p names, and its absolute name. It reports what is wrong;
// nil content means that it did.
func (c *checker) read(p *field.Path, name string, limit int64) ([]byte, string) {
	if name == "" {
		c.required(p, "name a file, relative to "+c.dir+" or absolute")
		return nil, ""
	}
	path := c.absolute(name)
	content := c.fetch(path, limit)
	switch {
	case content.err != nil:
		c.invalid(p, name, "%s cannot be read: %s; check the name and the file's permissions", path, content.err)
		return nil, path
	case len(content.data) == 0:
		c.invalid(p, name, "%s is empty", path)
		return nil, path
	}
	return content.data, path
}

// fetch reads a file once and notes that the configuration depends on it.
func (c *checker) fetch(path string, limit int64) fileContent {
	if content, ok := c.contents[path]; ok {
		return content
	}
	if !slices.Contains(c.files, path) {
		c.files = append(c.files, path)
	}
	var content fileContent
	content.data, content.err = ReadFile(path, limit)
	if info, err := os.Stat(path); err == nil {
		content.mode = info.Mode()
	}
	c.contents[path] = content
	return content
}

// othersMayRead are the permission bits that let someone besides the owner read a file.
const othersMayRead = 0o044

// warnReadable warns of a secret file that others may read. It is not an error: the volumes in which Kubernetes mounts
// Secrets give mode 0644 unless told otherwise, inside a container that nobody else is in.
func (c *checker) warnReadable(p *field.Path, path string) {
	if mode := c.contents[path].mode.Perm(); mode&othersMayRead != 0 {
		c.warn(p, "%s holds secrets and has mode %04o, so others can read it; chmod 0600 it (in a Secret volume: defaultMode: 0400)", path, mode)
	}
}

// private reads a secret file that nobody but its owner may read or write. Links are followed: in a Kubernetes volume every
// name is one. There, too, a file belongs to root, and the process reads it by its group (fsGroup).
func (c *checker) private(p *field.Path, name string) ([]byte, string) {
	data, path := c.read(p, name, maxPEMBytes)
	if data == nil {
		return nil, path
	}
	if err := private(path, c.contents[path].mode); err != nil {
		c.invalid(p, name, "%s %s", path, err)
		return nil, path
	}
	return data, path
}

// private returns an error if others can read or change a file.
func private(path string, mode os.FileMode) error {
	open := mode.Perm() & othersMayUse
	if ofRoot(path) {
		open &^= groupMayRead
	}
	if open != 0 {
		return fmt.Errorf("has mode %04o, so others can use it; chmod 0600 it (in a Secret volume: defaultMode: 0400)", mode.Perm())
	}
	return nil
}

// ReadPrivateFile reads as ReadFile does, and refuses a file that others can read or change.
func ReadPrivateFile(path string, limit int64) ([]byte, error) {
	data, err := ReadFile(path, limit)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, reason(err)
	}
	return data, private(path, info.Mode())
}

const (
	// othersMayUse are the permission bits that let someone besides the owner read or change a file.
	othersMayUse = 0o077
	groupMayRead = 0o040
)

// errNotRegular keeps Load from waiting on a pipe or reading a device without end.
var errNotRegular = errors.New("is not a regular file")

// ReadFile returns the content of the regular file at path. It refuses what has no end, such as a device or a pipe, and
// more than limit bytes. The error does not repeat the path.
func ReadFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := os.Open(path) //nolint:gosec // naming files is what the operator's configuration is for
	if err != nil {
		return nil, reason(err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, reason(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, nil
}

// reason takes the file name out of an error whose message names it already.
func reason(err error) error {
	if pathError, ok := errors.AsType[*os.PathError](err); ok {
		return pathError.Err
	}
	return err
}

// digest covers the configuration and the content of every file, in the order in which they were read.
func (c *checker) digest(data []byte) Digest {
	parts := [][]byte{data}
	for _, path := range c.files {
		parts = append(parts, []byte(path), c.contents[path].data)
	}
	return digestOf(parts...)
}

// Decode reads data strictly as a configuration, without looking at what its values mean or at the files that it names.
// The error is an *InvalidError that lists all mistakes of form.
func Decode(data []byte) (*Configuration, error) {
	doc := decode(data)
	if len(doc.mistakes) > 0 {
		return nil, &InvalidError{File: "configuration", Mistakes: doc.mistakes}
	}
	return &doc.written, nil
}
