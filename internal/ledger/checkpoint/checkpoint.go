// Package checkpoint keeps, in a file of its own, what a gate knows of the ledger for certain, so that it notices when the store
// was rolled back. The file belongs to one gate, and stands where nothing restores it together with the store.
package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ostiary/ostiary/internal/ledger"
)

const (
	// version is that of the file's form.
	version = 1
	// mode: the file holds no secret, and nobody else has business with it.
	mode = 0o600
	// maxBytes bounds what is read.
	maxBytes = 4 << 10
)

// ErrOther says that the store holds another ledger than before.
var ErrOther = errors.New("the store holds another ledger than the one that this gate knows")

// File is a ledger.Checkpoint. It is for one process, and not safe for concurrent use.
type File struct {
	path   string
	ledger func() string
}

var _ ledger.Checkpoint = (*File)(nil)

// content is what the file holds.
type content struct {
	Version int    `json:"version"`
	Ledger  string `json:"ledger"`
	Index   uint64 `json:"index"`
	Chain   string `json:"chain"`
	Epoch   int64  `json:"epoch"`
}

// New returns the checkpoint in the file at path, which need not be there. The ledger's id is asked for when it is needed: it
// is known once the store was read.
func New(path string, ledgerID func() string) *File { return &File{path: path, ledger: ledgerID} }

// Load implements ledger.Checkpoint. Its error is ErrOther where the file is of another ledger.
func (f *File) Load() (*ledger.Mark, error) {
	c, err := read(f.path)
	if c == nil || err != nil {
		return nil, err
	}
	if id := f.ledger(); c.Ledger != id {
		return nil, fmt.Errorf("%w: %s knows %s, and the store has %q; put the store back, or remove the file if a new ledger is what you want: all revocations of the old one are gone then",
			ErrOther, f.path, c.Ledger, id)
	}
	return &ledger.Mark{Index: c.Index, Chain: c.Chain, Epoch: c.Epoch}, nil
}

// read reads a file; nil if there is none.
func read(path string) (*content, error) {
	file, err := os.Open(path) //nolint:gosec // the operator named it
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // the first start
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, err
	}
	c := new(content)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(c); err != nil || c.Version != version || c.Ledger == "" || len(data) > maxBytes {
		return nil, fmt.Errorf("%s is not a checkpoint of this version; restore it, or remove it if you know that the store was not rolled back", path)
	}
	return c, nil
}

// Save implements ledger.Checkpoint. The file is replaced in one step.
func (f *File) Save(mark ledger.Mark) error {
	data, err := json.Marshal(content{Version: version, Ledger: f.ledger(), Index: mark.Index, Chain: mark.Chain, Epoch: mark.Epoch})
	if err != nil {
		return err
	}
	folder := filepath.Dir(f.path)
	file, err := os.CreateTemp(folder, "."+filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	parent, err := os.Open(folder) //nolint:gosec // the folder of a file that the operator named
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}
