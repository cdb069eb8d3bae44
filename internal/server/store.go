package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
)

// reachTimeout is how long a command waits for an etcd cluster.
const reachTimeout = 15 * time.Second

// maxKeyBytes bounds a key file.
const maxKeyBytes = 64 << 10

// errNoLedger: there is nothing to look after.
var errNoLedger = errors.New("the configuration has no ledger")

// NewLedgerKey makes the key of a ledger, and returns its public half.
func NewLedgerKey(path string) (public string, err error) { return sealedstore.NewKeyFile(path) }

// ledgerKey is the key of a configuration's ledger.
func ledgerKey(checked *config.CheckedLedger) (*sealedstore.KeyFile, error) {
	if checked == nil {
		return nil, errNoLedger
	}
	key, err := sealedstore.ParseKeyFile(checked.KeyFile, []byte(checked.Key.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("ledger.keyFile: %w", err)
	}
	return key, nil
}

// openStore opens the store of a configuration for a command, and what opens its seal. The embedded one is had by one process
// at a time.
func openStore(ctx context.Context, checked *config.CheckedLedger) (*etcdstore.Store, *sealedstore.KeyFile, error) {
	key, err := ledgerKey(checked)
	if err != nil {
		return nil, nil, err
	}
	logger := slog.New(slog.DiscardHandler) // what is wrong is in the error
	if checked.Etcd == nil {
		store, err := etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: checked.Directory, Logger: logger}) //nolint:contextcheck // the store lives until it is closed
		return store, key, err
	}
	store, err := etcdstore.External(ctx, etcdstore.ExternalConfig{
		Endpoints: checked.Etcd.Endpoints, TLS: etcdTLS(checked.Etcd), Prefix: checked.Etcd.Prefix, Logger: logger,
	})
	if err != nil {
		return nil, nil, err
	}
	if err := await(ctx, reachTimeout, store.Ready); err != nil {
		store.Close()
		return nil, nil, err
	}
	return store, key, nil
}

// RewrapLedger wraps the seed of the configuration's ledger by the key in a file.
func RewrapLedger(ctx context.Context, checked *config.Checked, newKey string) error {
	content, err := config.ReadPrivateFile(newKey, maxKeyBytes)
	if err != nil {
		return fmt.Errorf("%s %w", filepath.Clean(newKey), err)
	}
	to, err := sealedstore.ParseKeyFile(newKey, content)
	if err != nil {
		return err
	}
	store, from, err := openStore(ctx, checked.Ledger)
	if err != nil {
		return err
	}
	defer store.Close()
	return sealedstore.Rewrap(ctx, store, from, to)
}
