// Package sealedstore seals what the ledger gives to its store, so that whoever can read the store, its disks or its
// backups learns no names, and whoever can write to it can neither invent a record nor move one to another key or ledger.
//
// Every value is sealed with XChaCha20-Poly1305 under a random nonce; the ledger's id, the layout's version and the whole
// key are bound to it. Names that stand in keys are hidden by HMAC-SHA-256 (Names). Both keys follow from a seed of 32 random
// bytes, which stands in the store itself, wrapped by a key that does not: Wrapper is the port to where that is kept, and
// KeyFile the one there is.
//
// What sealing cannot stop is that records are deleted, or replaced by what stood under the same key before. That is what
// the ledger's digest and the gates' checkpoints are for (docs/ledger-store.md).
package sealedstore
