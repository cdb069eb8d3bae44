package sealedstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
)

const (
	// keyFileMode lets its owner alone read a key.
	keyFileMode = 0o600
	// maxWrapped bounds what is unwrapped: a seed, and what age adds for a few recipients.
	maxWrapped = 64 << 10
)

// KeyFile is an age identity: hybrid, so that a copy of the store that is kept until there are quantum computers stays
// closed, or X25519.
type KeyFile struct {
	name      string
	identity  age.Identity
	recipient age.Recipient
	public    string
}

var _ Wrapper = (*KeyFile)(nil)

// ParseKeyFile reads an age identity file, as "ostiary store new-key" and age-keygen write it. It holds one identity. The name
// is for messages only, which never repeat the content.
func ParseKeyFile(name string, content []byte) (*KeyFile, error) {
	identities, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		// age's own words may hold a part of the key.
		return nil, fmt.Errorf("%s is not an age identity file; make one with ostiary store new-key", name)
	}
	if len(identities) != 1 {
		return nil, fmt.Errorf("%s holds %d keys; it must hold one", name, len(identities))
	}
	k := &KeyFile{name: name, identity: identities[0]}
	switch identity := identities[0].(type) {
	case *age.HybridIdentity:
		k.recipient, k.public = identity.Recipient(), identity.Recipient().String()
	case *age.X25519Identity:
		k.recipient, k.public = identity.Recipient(), identity.Recipient().String()
	default:
		return nil, fmt.Errorf("%s holds a key of a kind that cannot wrap; make one with ostiary store new-key", name)
	}
	return k, nil
}

// String implements Wrapper. It shows the start of the public key: the whole of a hybrid one is 2 kB.
func (k *KeyFile) String() string {
	const shown = 24
	return "key " + k.public[:min(shown, len(k.public))] + "…" + k.public[max(0, len(k.public)-8):]
}

// Wrap implements Wrapper.
func (k *KeyFile) Wrap(_ context.Context, seed []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(seed); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unwrap implements Wrapper.
func (k *KeyFile) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	if len(wrapped) > maxWrapped {
		return nil, fmt.Errorf("a wrapped seed of %d bytes: %w", len(wrapped), ErrTampered)
	}
	r, err := age.Decrypt(bytes.NewReader(wrapped), k.identity)
	if err != nil {
		if _, other := errors.AsType[*age.NoIdentityMatchError](err); other {
			return nil, fmt.Errorf("%w: it was wrapped for another key", ErrKey)
		}
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	return plain, nil
}

// NewKeyFile makes a key and writes it to a file that is not there yet. It returns the public half.
func NewKeyFile(path string) (public string, err error) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, keyFileMode) //nolint:gosec // the operator named it
	if errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("%s is there already; a key is never overwritten: what it sealed would be lost", path)
	}
	if err != nil {
		return "", err
	}
	public = identity.Recipient().String()
	_, err = fmt.Fprintf(file, "# The key of an Ostiary ledger, made %s. Whoever has it and the store can read every record.\n# Without it the ledger is lost: keep a copy in a safe place, apart from the store and its backups.\n# public key: %s\n%s\n",
		time.Now().UTC().Format(time.RFC3339), public, identity)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return public, syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder survive a crash.
func syncFolder(name string) error {
	folder, err := os.Open(name) //nolint:gosec // the folder of a file that the operator named
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
