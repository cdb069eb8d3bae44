package sealedstore

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/ostiary/ostiary/internal/ledger"
)

const (
	// seedBytes is the length of the seed, and of the keys that follow from it.
	seedBytes = 32
	// schema is the version of everything that is sealed: it is bound to every value.
	schema = 1
	// sealed begins every value: the version of its form.
	sealed = 1
	// overhead is what sealing adds to a value: form, nonce and tag.
	overhead = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
	// hiddenBytes is how much of the HMAC stands in a key: two names in one would need a collision of 128 bits.
	hiddenBytes = 16
	// What the keys are for, as HKDF's info.
	sealInfo = "ostiary ledger v1: values"
	hideInfo = "ostiary ledger v1: names"
)

// keys are what follows from the seed. They are safe for concurrent use.
type keys struct {
	ledger string // the ledger's id
	aead   cipher.AEAD
	names  []byte
	// snapshots is the key of their digest.
	snapshots []byte
}

// derive makes the keys of a ledger out of its seed, which it clears.
func derive(id string, seed []byte) (*keys, error) {
	defer clear(seed)
	if len(seed) != seedBytes {
		return nil, fmt.Errorf("sealedstore: a seed of %d bytes, want %d", len(seed), seedBytes)
	}
	values, err := hkdf.Key(sha256.New, seed, []byte(id), sealInfo, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %w", err)
	}
	defer clear(values)
	names, err := hkdf.Key(sha256.New, seed, []byte(id), hideInfo, seedBytes)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %w", err)
	}
	snapshots, err := snapshotKey(id, seed)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %w", err)
	}
	aead, err := chacha20poly1305.NewX(values)
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %w", err)
	}
	return &keys{ledger: id, aead: aead, names: names, snapshots: snapshots}, nil
}

// bound is what a value is bound to: the version, the ledger and its key, each after its length.
func (k *keys) bound(key string) []byte {
	data := make([]byte, 0, 3*4+len(k.ledger)+len(key))
	data = binary.BigEndian.AppendUint32(data, schema)
	for _, part := range [...]string{k.ledger, key} {
		data = append(binary.BigEndian.AppendUint32(data, uint32(len(part))), part...) //nolint:gosec // far below 4 GiB
	}
	return data
}

// seal seals a value for a key.
func (k *keys) seal(key string, value []byte) []byte {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, overhead+len(value))
	out[0] = sealed
	nonce := out[1:]
	_, _ = rand.Read(nonce) // never fails (Go 1.24)
	return k.aead.Seal(out, nonce, value, k.bound(key))
}

// open opens the value of a key, and leaves it as it is. What it returns is never nil.
func (k *keys) open(key string, value []byte) ([]byte, error) {
	return k.openInto(make([]byte, 0, max(0, len(value)-overhead)), key, value)
}

// openInto opens the value of a key into a slice, which may begin where what is sealed in the value does.
func (k *keys) openInto(into []byte, key string, value []byte) ([]byte, error) {
	if len(value) < overhead || value[0] != sealed {
		return nil, fmt.Errorf("sealedstore: %s: %w", key, ErrTampered)
	}
	nonce, text := value[1:1+chacha20poly1305.NonceSizeX], value[1+chacha20poly1305.NonceSizeX:]
	plain, err := k.aead.Open(into, nonce, text, k.bound(key))
	if err != nil {
		return nil, fmt.Errorf("sealedstore: %s: %w", key, ErrTampered)
	}
	return plain, nil
}

// openRecord opens a record that was read; one without a value stays so.
func (k *keys) openRecord(record ledger.Record) (ledger.Record, error) {
	if record.Value == nil {
		return record, nil
	}
	plain, err := k.open(record.Key, record.Value)
	if err != nil {
		return ledger.Record{}, err
	}
	record.Value = plain
	return record, nil
}

// openOwn does the same in the place of what is sealed: of a million records, half of what is allocated.
func (k *keys) openOwn(record ledger.Record) (ledger.Record, error) {
	const start = 1 + chacha20poly1305.NonceSizeX
	into := []byte{}
	if len(record.Value) > start {
		into = record.Value[start:start]
	}
	plain, err := k.openInto(into, record.Key, record.Value)
	if err != nil {
		return ledger.Record{}, err
	}
	record.Value = plain
	return record, nil
}

// hide returns what stands for a name in a key, each part after its length.
func (k *keys) hide(parts ...string) string {
	mac := hmac.New(sha256.New, k.names)
	var length [4]byte
	for _, part := range parts {
		binary.BigEndian.PutUint32(length[:], uint32(len(part))) //nolint:gosec // far below 4 GiB
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil)[:hiddenBytes])
}
