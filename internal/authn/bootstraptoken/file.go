package bootstraptoken

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraptoken "k8s.io/cluster-bootstrap/token/util"
	"sigs.k8s.io/yaml"
)

// hashPrefix starts the hash of a secret part in a file.
const hashPrefix = "sha256:"

// maxEntries bounds a file: more machines than any cluster has join with fewer tokens.
const maxEntries = 100_000

// Entry is one token in a file.
type Entry struct {
	// ID is the public part.
	ID string `json:"id"`
	// Hash is "sha256:" and the digest of the secret part, in hex.
	Hash string `json:"hash"`
	// Expires is when the token ends, in RFC 3339. Required: a token that joins machines must not lie about for ever.
	Expires string `json:"expires"`
	// Groups are extra groups, each starting with "system:bootstrappers:".
	Groups []string `json:"groups,omitempty"`
	// Description is for people.
	Description string `json:"description,omitempty"`
}

// File holds tokens that Ostiary made. It is immutable.
type File struct{ table *Table }

// ParseFile reads a file strictly. The error names every mistake.
func ParseFile(content []byte) (*File, error) {
	var entries []Entry
	if err := yaml.UnmarshalStrict(content, &entries); err != nil {
		return nil, fmt.Errorf("is not a list of bootstrap tokens: %w", err)
	}
	if len(entries) == 0 || len(entries) > maxEntries {
		return nil, fmt.Errorf("holds %d tokens; there must be between 1 and %d", len(entries), maxEntries)
	}
	records := make([]*Record, 0, len(entries))
	taken := make(map[string]bool, len(entries))
	var mistakes []error
	for i := range entries {
		record, err := entries[i].record()
		if err == nil && taken[entries[i].ID] {
			err = errors.New("there is another token of this id")
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("entry %d: %w", i, err))
			continue
		}
		taken[entries[i].ID] = true
		records = append(records, record)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return &File{NewTable(records)}, nil
}

func (e *Entry) record() (*Record, error) {
	if !bootstraptoken.IsValidBootstrapTokenID(e.ID) {
		return nil, errors.New("id: must be six of a-z and 0-9")
	}
	text, ok := strings.CutPrefix(e.Hash, hashPrefix)
	digest, err := hex.DecodeString(text)
	if !ok || err != nil || len(digest) != sha256.Size || text != strings.ToLower(text) {
		return nil, errors.New("hash: must be \"sha256:\" and 64 hex digits; make tokens with \"ostiary config bootstrap-token\"")
	}
	expires, err := time.Parse(time.RFC3339, e.Expires)
	if err != nil {
		return nil, errors.New("expires: must be a time such as 2030-01-02T03:04:05Z")
	}
	groups := []string{bootstrapapi.BootstrapDefaultGroup}
	for _, group := range e.Groups {
		if err := bootstraptoken.ValidateBootstrapGroupName(group); err != nil {
			return nil, fmt.Errorf("groups: %w", err)
		}
		groups = append(groups, group)
	}
	slices.Sort(groups) // BOOT-10
	record := newRecord(e.ID, [sha256.Size]byte(digest), slices.Compact(groups))
	record.credential.NotAfter = expires
	return record, nil
}

// Table implements Source.
func (f *File) Table() (*Table, error) { return f.table, nil }

// The parts of a token, and what they are made of (BOOT-1).
const (
	idLength, secretLength = 6, 16
	tokenAlphabet          = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// Make draws a token (G-17), and returns it once, with the entry that stands for it in a file.
func Make(expires time.Time, groups []string, description string) (token string, entry Entry, err error) {
	part := ""
	for part == "" || weak("", part) {
		if part, err = draw(secretLength); err != nil {
			return "", Entry{}, err
		}
	}
	id, err := draw(idLength)
	if err != nil {
		return "", Entry{}, err
	}
	digest := sha256.Sum256([]byte(part))
	entry = Entry{
		ID: id, Hash: hashPrefix + hex.EncodeToString(digest[:]), Expires: expires.UTC().Format(time.RFC3339),
		Groups: groups, Description: description,
	}
	if _, err := entry.record(); err != nil {
		return "", Entry{}, err
	}
	return id + "." + part, entry, nil
}

// draw returns that many characters, each drawn alike.
func draw(length int) (string, error) {
	text := make([]byte, length)
	for i := range text {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(tokenAlphabet))))
		if err != nil {
			return "", fmt.Errorf("draw a token: %w", err)
		}
		text[i] = tokenAlphabet[n.Int64()]
	}
	return string(text), nil
}

// fileMode lets nobody but the owner read a file of tokens: hashes can be tried.
const fileMode = 0o600

// Append adds an entry to the file at path, which it makes if it is not there. The file is replaced in one step; a file
// that is not good is left as it is.
func Append(path string, entry Entry) error {
	content, err := os.ReadFile(path) //nolint:gosec // the operator names it
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if _, err := ParseFile(content); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	added, err := yaml.Marshal([]Entry{entry})
	if err != nil {
		return err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	content = append(content, added...)
	if _, err := ParseFile(content); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return replace(path, content)
}

// replace writes a file beside path, and puts it in its place.
func replace(path string, content []byte) (err error) {
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(next.Name()))
		}
	}()
	_, writeErr := next.Write(content)
	if err := errors.Join(writeErr, next.Chmod(fileMode), next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}
