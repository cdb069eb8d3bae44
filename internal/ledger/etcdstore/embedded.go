package etcdstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

const (
	// startTimeout bounds the start. A database of a million entries takes a few seconds.
	startTimeout = time.Minute
	// folderMode closes the data to everyone else.
	folderMode = 0o700
	// kept is how much history the embedded etcd keeps: a mirror that is further behind lists anew.
	kept = 10 * time.Minute
	// quotaBytes is the most that etcd itself advises.
	quotaBytes = 8 << 30
	// prefix stands before every key. The version is that of the layout.
	prefix = "/ostiary/v1/"
)

// ErrFolder is wrapped by errors about the folder of an embedded store.
var ErrFolder = errors.New("etcdstore: data directory")

// Embedded starts the etcd of this process, which keeps its data in folder. The folder is made where it is missing, and
// refused where others may look into it. One process at a time can have it.
func Embedded(folder string) (*Store, error) {
	if err := closedFolder(folder); err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Name, c.Dir = "ostiary", filepath.Join(folder, "etcd")
	c.ListenClientUrls, c.ListenPeerUrls = nil, nil // no socket: the client is in this process
	c.LogLevel, c.LogOutputs = "error", []string{"stderr"}
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, kept.String()
	c.QuotaBackendBytes = quotaBytes
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w; another process may have it open", ErrFolder, folder, err)
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
	return &Store{client: client, prefix: prefix, close: func() {
		_ = client.Close()
		etcd.Close()
	}}, nil
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
