package etcdstore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

const (
	// startTimeout bounds the start. A database of a million entries takes a few seconds.
	startTimeout = time.Minute
	// folderMode closes the data to everyone else.
	folderMode = 0o700
	lockMode   = 0o600
	// embeddedQuota is the most that etcd itself advises.
	embeddedQuota = 8 << 30
	// snapshotEvery is after how many transactions etcd takes note that its database has them. What came after is read again at
	// the next start, and a transaction may be half a megabyte. keptForOthers of them stay in memory for members that lag behind,
	// of which there are none; 0 would be five thousand.
	snapshotEvery, keptForOthers = 1000, 1
	// DefaultPrefix stands before every key, where the configuration does not name another.
	DefaultPrefix = "/ostiary/"
	// layout comes after it, and is the version of how records are laid out.
	layout = "v1/"
)

// ErrFolder is wrapped by errors about the folder of an embedded store.
var ErrFolder = errors.New("etcdstore: data directory")

// EmbeddedConfig is what an embedded store is made of.
type EmbeddedConfig struct {
	// Directory is made where it is missing, and refused where others may look into it. One process at a time can have it.
	Directory string
	// Quota is how many bytes the store may have; 0 is 8 GiB, the most that etcd itself advises.
	Quota int64
	// Logger takes what etcd finds wrong. Required.
	Logger *slog.Logger
}

// Embedded starts the etcd of this process.
func Embedded(config EmbeddedConfig) (*Store, error) {
	if config.Logger == nil {
		return nil, errors.New("etcdstore: a logger is required")
	}
	folder := config.Directory
	if err := closedFolder(folder); err != nil {
		return nil, err
	}
	lock, err := fileutil.TryLockFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, lockMode)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("%w %s: %w", ErrFolder, folder, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrFolder, folder, err)
	}
	s, err := startLocked(config)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	closeStore := s.close
	s.close = sync.OnceFunc(func() {
		closeStore()
		_ = lock.Close()
	})
	return s, nil
}

// ErrInUse says that another process has the embedded store.
var ErrInUse = errors.New("another process has it open: stop that ostiary first")

// startLocked starts etcd in a folder that this process has for itself.
func startLocked(config EmbeddedConfig) (*Store, error) {
	folder := config.Directory
	c := embed.NewConfig()
	c.Name, c.Dir = "ostiary", filepath.Join(folder, "etcd")
	c.ListenClientUrls, c.ListenPeerUrls = nil, nil // no socket: the client is in this process
	c.LogLevel, c.ZapLoggerBuilder = "error", embed.NewZapLoggerBuilder(bridged(config.Logger))
	c.SnapshotCount, c.SnapshotCatchUpEntries = snapshotEvery, keptForOthers
	c.QuotaBackendBytes = cmp.Or(config.Quota, embeddedQuota)
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	etcd, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrFolder, folder, err)
	}
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		etcd.Close()
		return nil, fmt.Errorf("etcdstore: start: %w", err)
	case <-etcd.Server.StopNotify():
		etcd.Close()
		return nil, errors.New("etcdstore: etcd stopped while it started")
	case <-timer.C:
		etcd.Close()
		return nil, fmt.Errorf("etcdstore: not ready after %s", startTimeout)
	}
	client := v3client.New(etcd.Server)
	ctx := client.Ctx() // until it is closed
	if err := shrink(ctx, client, etcd.Server.Backend().Defrag, c.QuotaBackendBytes, config.Logger); err != nil {
		_ = client.Close()
		etcd.Close()
		return nil, err
	}
	closing, ticker := make(chan struct{}), time.NewTicker(tidyEvery)
	var tidying sync.WaitGroup
	s := &Store{prefix: DefaultPrefix + layout, failed: make(chan error, 1), close: func() {
		close(closing)
		ticker.Stop()
		_ = client.Close()
		tidying.Wait()
		etcd.Close()
	}}
	s.link.Store(&link{client: client, watcher: func() (*clientv3.Client, func(), error) { return client, func() {}, nil }})
	s.room.quota.Store(c.QuotaBackendBytes)
	s.room.size = etcd.Server.Backend().Size
	tidying.Go(func() { s.tidy(ctx, ticker.C, config.Logger) })
	go s.attend(etcd, closing)
	return s, nil
}

// start starts etcd, which panics over files that it cannot make sense of.
func start(c *embed.Config) (etcd *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("etcd gave up (%v): its files may be damaged; restore a snapshot", r)
		}
	}()
	return embed.StartEtcd(c)
}

// attend notices that etcd has ended by itself.
func (s *Store) attend(etcd *embed.Etcd, closing <-chan struct{}) {
	err := errors.New("it stopped without a reason")
	select {
	case <-closing:
		return
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		select {
		case <-closing:
			return
		default:
		}
	}
	err = fmt.Errorf("etcdstore: the embedded etcd has ended, and the ledger with it: %w", err)
	s.refusal.Store(&refusal{err})
	s.failed <- err
}

// closedFolder makes the folder, or finds it closed to everyone else.
func closedFolder(folder string) error {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	info, err := os.Lstat(folder)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFolder, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%w %s is a symbolic link; name the folder itself", ErrFolder, folder)
	case info.Mode().Perm()&^folderMode != 0:
		return fmt.Errorf("%w %s has mode %04o: others may look into it; chmod 0700", ErrFolder, folder, info.Mode().Perm())
	default:
		return nil
	}
}
