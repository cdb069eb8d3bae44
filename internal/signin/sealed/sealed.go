// Package sealed keeps sessions in encrypted files, where no agent is wanted: one file for each session, in the format of age
// (age-encryption.org/v1), under a passphrase (scrypt) or under a key of its own that the system's keyring holds (X25519 with ML-KEM-768).
// Nothing is ever written in clear.
//
// With a passphrase, each use costs what a guess costs, about a quarter of a second of CPU; with the keyring, a call to it. Files are
// replaced whole, and one process renews while the others wait.
package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/session"
)

const (
	folderMode, fileMode = 0o700, 0o600
	// The extensions of files tell what opens them; what is before is the session's name and the gate's.
	passphraseExtension, keyringExtension = ".age", ".keyring"
	// maxFile bounds what is read of a file, in bytes: a session with a long chain, and a person in thousands of groups.
	maxFile = 4 << 20
	// workFactor is the base-2 logarithm of scrypt's cost: 64 MiB and a quarter of a second for each guess, and for each kubectl.
	workFactor = 16
	// MinPassphrase is how long a passphrase must be, in bytes: whoever has the file can guess for as long as they like.
	MinPassphrase = 12
)

// ErrPassphrase says that a file does not open with this passphrase.
var ErrPassphrase = errors.New("the passphrase is wrong")

// Ring is the system's keyring, as far as it is needed here.
type Ring interface {
	// Get returns the secret of a name; found is false where there is none.
	Get(ctx context.Context, name string) (value secret.String, found bool, err error)
	// Set keeps a secret, in the place of another one of its name.
	Set(ctx context.Context, name string, value secret.String) error
	// Delete removes a secret. What is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Store is a folder of sessions, and what opens them. It is safe for concurrent use, by several processes too.
type Store struct {
	folder     string
	passphrase secret.String
	ring       Ring // nil for a passphrase
}

// OpenKeyring returns the store of this user whose keys are in a keyring: one for each session, which is removed with it, so that a
// copy of the file that somebody has kept opens no more.
func OpenKeyring(ring Ring) (*Store, error) {
	folder, err := Folder()
	if err != nil {
		return nil, err
	}
	return &Store{folder: folder, ring: ring}, nil
}

// Open returns the store of this user that a passphrase opens, and makes its folder where it is not there: ostiary in XDG_STATE_HOME,
// or in .local/state of the home directory.
func Open(passphrase secret.String) (*Store, error) {
	if len(passphrase.Reveal()) < MinPassphrase {
		return nil, fmt.Errorf("a passphrase must be %d characters at least: whoever has the file can guess for as long as they like", MinPassphrase)
	}
	folder, err := Folder()
	if err != nil {
		return nil, err
	}
	return &Store{folder: folder, passphrase: passphrase}, nil
}

// Folder returns where the files are, and makes it.
func Folder() (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no folder for encrypted sessions: %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	folder := filepath.Join(state, "ostiary")
	if err := os.MkdirAll(folder, folderMode); err != nil { //nolint:gosec // the user's own environment names it
		return "", fmt.Errorf("no folder for encrypted sessions: %w", err)
	}
	if err := os.Chmod(folder, folderMode); err != nil { //nolint:gosec // a folder must be entered
		return "", fmt.Errorf("no folder for encrypted sessions: %w", err)
	}
	return folder, nil
}

// Kept is a file that is there.
type Kept struct {
	// Name is the session's, and Gate the gate's URL.
	Name, Gate string
	// Keyring says that its key is in the keyring; else a passphrase opens it.
	Keyring bool
}

// List names the sessions that are there. It needs no passphrase: the names are no secret.
func List() ([]Kept, error) {
	folder, err := Folder()
	if err != nil {
		return nil, err
	}
	var all []Kept
	for _, extension := range []string{passphraseExtension, keyringExtension} {
		files, err := filepath.Glob(filepath.Join(folder, "*@*"+extension))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name, host, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), extension), "@")
			all = append(all, Kept{Name: name, Gate: "https://" + strings.ReplaceAll(host, "_", ":"), Keyring: extension == keyringExtension})
		}
	}
	return all, nil
}

// Remove deletes a session's file, and then its key if that is in the keyring: without the file, the key opens nothing. What is gone
// already is no error. ring is asked for sessions of the keyring only.
func Remove(ctx context.Context, kept Kept, ring Ring) error {
	extension := passphraseExtension
	if kept.Keyring {
		extension = keyringExtension
	}
	file, err := find(kept.Name, extension)
	if err != nil && !errors.Is(err, session.ErrNone) {
		return err
	}
	if err == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove an encrypted session: %w", err)
		}
	}
	if !kept.Keyring {
		return nil
	}
	if err := ring.Delete(ctx, kept.Name); err != nil {
		return fmt.Errorf("an encrypted session is removed, and its key stays in the keyring: %w", err)
	}
	return nil
}

// find returns the file of a session.
func find(name, extension string) (string, error) {
	folder, err := Folder()
	if err != nil {
		return "", err
	}
	if name == "" || strings.ContainsAny(name, `*?[]\/@`) {
		return "", fmt.Errorf("%q is no name of a session", name)
	}
	files, err := filepath.Glob(filepath.Join(folder, name+"@*"+extension))
	if err != nil || len(files) == 0 {
		return "", errors.Join(session.ErrNone, err)
	}
	return files[0], nil
}

// extension is that of the store's files.
func (s *Store) extension() string {
	if s.ring != nil {
		return keyringExtension
	}
	return passphraseExtension
}

// recipient is to whom a session is encrypted. A session has one key in the keyring for its whole life.
func (s *Store) recipient(ctx context.Context, name string) (age.Recipient, error) {
	if s.ring == nil {
		recipient, err := age.NewScryptRecipient(s.passphrase.Reveal())
		if err == nil {
			recipient.SetWorkFactor(workFactor)
		}
		return recipient, err
	}
	switch key, err := s.key(ctx, name); {
	case err == nil:
		return key.Recipient(), nil
	case !errors.Is(err, errNoKey):
		return nil, err
	}
	made, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	return made.Recipient(), s.ring.Set(ctx, name, secret.New(made.String()))
}

// identity opens what recipient closed.
func (s *Store) identity(ctx context.Context, name string) (age.Identity, error) {
	if s.ring != nil {
		return s.key(ctx, name)
	}
	identity, err := age.NewScryptIdentity(s.passphrase.Reveal())
	if err == nil {
		identity.SetMaxWorkFactor(workFactor) // a file that asks for more is none of ours, and would take gigabytes
	}
	return identity, err
}

// errNoKey says that the keyring has no key of that session.
var errNoKey = errors.New("the keyring has no key for it")

// key is a session's in the keyring. What the keyring holds is not part of an error.
func (s *Store) key(ctx context.Context, name string) (*age.HybridIdentity, error) {
	text, found, err := s.ring.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoKey
	}
	key, err := age.ParseHybridIdentity(text.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%w: what is there under its name is none", errNoKey)
	}
	return key, nil
}

// Put keeps a session, in the place of another of its name.
func (s *Store) Put(ctx context.Context, kept *session.Session) error {
	data, err := session.Encode(kept)
	if err != nil {
		return err
	}
	recipient, err := s.recipient(ctx, kept.Name())
	if err != nil {
		return fmt.Errorf("cannot encrypt a session: %w", err)
	}
	var encrypted bytes.Buffer
	writer, err := age.Encrypt(&encrypted, recipient)
	if err == nil {
		_, err = writer.Write(data)
	}
	if err == nil {
		err = writer.Close()
	}
	if err != nil {
		return fmt.Errorf("cannot encrypt a session: %w", err)
	}
	gate, err := url.Parse(kept.Address.URL)
	if err != nil {
		return err
	}
	name := kept.Name() + "@" + strings.ReplaceAll(gate.Host, ":", "_") + s.extension()
	if err := replace(filepath.Join(s.folder, name), encrypted.Bytes()); err != nil {
		return fmt.Errorf("cannot write an encrypted session: %w", err)
	}
	return nil
}

// replace writes a file beside the old one and puts it in its place.
func replace(file string, data []byte) error {
	next, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = next.Write(data)
	err = errors.Join(err, next.Chmod(fileMode), next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}

// Get opens a session: session.ErrNone says that there is none, or none any more that the keyring has a key for, and ErrPassphrase that
// it does not open.
func (s *Store) Get(ctx context.Context, name string) (*session.Session, error) {
	path, err := find(name, s.extension())
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path) //nolint:gosec // in a folder of our own
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, session.ErrNone
	case err != nil:
		return nil, fmt.Errorf("cannot read an encrypted session: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	identity, err := s.identity(ctx, name)
	if errors.Is(err, errNoKey) {
		return nil, fmt.Errorf("%w: %w", session.ErrNone, err)
	} else if err != nil {
		return nil, fmt.Errorf("cannot open an encrypted session: %w", err)
	}
	reader, err := age.Decrypt(io.LimitReader(file, maxFile), identity)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong && s.ring == nil {
		return nil, ErrPassphrase
	} else if wrong {
		return nil, fmt.Errorf("%w: the keyring's key does not open %s", session.ErrNone, path)
	} else if err != nil {
		return nil, fmt.Errorf("%s is broken; sign in again: %w", path, err)
	}
	data, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("%s is broken; sign in again: %w", path, err)
	}
	kept, err := session.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return kept, nil
}

// Lock does something with a session while no other process renews it or signs in to it.
func (s *Store) Lock(name string, do func() error) error {
	unlock, err := lockedfile.MutexAt(filepath.Join(s.folder, name+".lock")).Lock()
	if err != nil {
		return fmt.Errorf("cannot lock an encrypted session: %w", err)
	}
	defer unlock()
	return do()
}

// Credential opens a session, and renews it first where it must. Of many processes one renews, and the others take what it
// brought. session.ErrNone, session.ErrEnded, *signin.RefusedError and *signin.NoAnswerError say why there is none.
func (s *Store) Credential(ctx context.Context, name string) (*session.Session, error) {
	kept, err := s.Get(ctx, name)
	if err != nil || !due(kept, time.Now()) {
		return kept, err
	}
	err = s.Lock(name, func() error {
		if kept, err = s.Get(ctx, name); err != nil || !due(kept, time.Now()) {
			return err
		}
		kept, err = s.renew(ctx, name, kept)
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// due reports whether a session must be renewed before it is used.
func due(kept *session.Session, now time.Time) bool {
	return !kept.Holds(now) || kept.Renewable() && !now.Before(kept.RenewAt())
}

// renew renews a session and keeps the new one.
func (s *Store) renew(ctx context.Context, name string, kept *session.Session) (*session.Session, error) {
	next, now := *kept, time.Now()
	ends := kept.Ends()
	err := next.Renew(ctx)
	_, refused := errors.AsType[*signin.RefusedError](err)
	switch {
	case err == nil:
		return &next, s.Put(ctx, &next)
	case refused, errors.Is(err, session.ErrNotRenewable), !ends.IsZero() && !now.Before(ends):
		// Nobody renews it any more. The gate is told as far as it listens; the file must not stay.
		_ = kept.End(ctx)
		return nil, errors.Join(fmt.Errorf("%w: %w", session.ErrEnded, err), Remove(ctx, Kept{Name: name, Keyring: s.ring != nil}, s.ring))
	}
	kept.Refresh = next.Refresh // a provider that rotates has ended the old one
	if putErr := s.Put(ctx, kept); putErr != nil {
		return nil, errors.Join(err, putErr)
	}
	if kept.Holds(now) {
		return kept, nil
	}
	return nil, err
}
