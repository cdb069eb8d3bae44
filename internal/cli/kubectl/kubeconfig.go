package kubectl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// kubeconfigMode is that of a kubeconfig which is not there yet: others' credentials may stand in it one day.
	kubeconfigMode = 0o600
	// kubeconfigWait is for how long another program may hold the kubeconfig's lock, and kubeconfigPoll how often it is tried.
	kubeconfigWait, kubeconfigPoll = 10 * time.Second, 20 * time.Millisecond
)

// entries are what a command writes into a kubeconfig.
type entries struct {
	clusters map[string]*clientcmdapi.Cluster
	users    map[string]*clientcmdapi.AuthInfo
	contexts map[string]*clientcmdapi.Context
	// current becomes the current context; empty leaves the one that is.
	current string
}

// writeKubeconfig puts entries in, under the lock that kubectl takes too, and leaves everything else as it is. An entry that is
// there already, in whichever file of the list, is replaced where it stands, so that none shadows another. A context keeps
// its namespace. It returns the files that were written.
func writeKubeconfig(ctx context.Context, explicit string, put entries) ([]string, error) {
	options := clientcmd.NewDefaultPathOptions()
	options.LoadingRules.ExplicitPath = explicit
	merged, err := options.GetStartingConfig()
	if err != nil {
		return nil, exitWith(ExitFailed, "cannot read the kubeconfig: %w", err)
	}
	files := map[string]*entries{}
	at := func(origin string) *entries {
		if origin == "" {
			origin = options.GetDefaultFilename()
		}
		if files[origin] == nil {
			files[origin] = &entries{
				clusters: map[string]*clientcmdapi.Cluster{}, users: map[string]*clientcmdapi.AuthInfo{}, contexts: map[string]*clientcmdapi.Context{},
			}
		}
		return files[origin]
	}
	for name, cluster := range put.clusters {
		at(origin(merged.Clusters[name])).clusters[name] = cluster
	}
	for name, user := range put.users {
		at(origin(merged.AuthInfos[name])).users[name] = user
	}
	for name, entry := range put.contexts {
		at(origin(merged.Contexts[name])).contexts[name] = entry
	}
	if put.current != "" {
		// The first file of the list that names a current context wins.
		at(currentOrigin(options)).current = put.current
	}
	var written []string
	for file, some := range files {
		if err := changeKubeconfig(ctx, file, some.into); err != nil {
			return nil, err
		}
		written = append(written, file)
	}
	slices.Sort(written)
	return written, nil
}

// origin is the file that an entry of a merged kubeconfig comes from; empty where there is no entry.
func origin(entry any) string {
	switch entry := entry.(type) {
	case *clientcmdapi.Cluster:
		if entry != nil {
			return entry.LocationOfOrigin
		}
	case *clientcmdapi.AuthInfo:
		if entry != nil {
			return entry.LocationOfOrigin
		}
	case *clientcmdapi.Context:
		if entry != nil {
			return entry.LocationOfOrigin
		}
	}
	return ""
}

// currentOrigin is the file whose current context counts; empty where none has one.
func currentOrigin(options *clientcmd.PathOptions) string {
	for _, file := range options.GetLoadingPrecedence() {
		if config, err := clientcmd.LoadFromFile(file); err == nil && config.CurrentContext != "" {
			return file
		}
	}
	return ""
}

// into puts the entries into one file's configuration.
func (e *entries) into(config *clientcmdapi.Config) error {
	maps.Copy(config.Clusters, e.clusters)
	maps.Copy(config.AuthInfos, e.users)
	for name, entry := range e.contexts {
		if old := config.Contexts[name]; old != nil {
			entry = entry.DeepCopy()
			entry.Namespace, entry.Extensions = old.Namespace, old.Extensions
		}
		config.Contexts[name] = entry
	}
	if e.current != "" {
		config.CurrentContext = e.current
	}
	return nil
}

// changeKubeconfig changes one file, whole or not at all.
func changeKubeconfig(ctx context.Context, file string, change func(*clientcmdapi.Config) error) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // the link stays a link
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as kubectl makes it
		return exitWith(ExitFailed, "cannot write the kubeconfig: %w", err)
	}
	unlock, err := lockKubeconfig(ctx, file)
	if err != nil {
		return err
	}
	defer unlock()
	mode := os.FileMode(kubeconfigMode)
	config, err := clientcmd.LoadFromFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		config = clientcmdapi.NewConfig()
	case err != nil:
		return exitWith(ExitFailed, "cannot read the kubeconfig %s, which is left as it is: %w", file, err)
	default:
		info, err := os.Stat(file)
		if err != nil {
			return exitWith(ExitFailed, "cannot read the kubeconfig: %w", err)
		}
		mode = info.Mode().Perm()
	}
	if err := change(config); err != nil {
		return err
	}
	data, err := clientcmd.Write(*config)
	if err != nil {
		return exitWith(ExitFailed, "cannot write the kubeconfig: %w", err)
	}
	if err := replaceFile(file, data, mode); err != nil {
		return exitWith(ExitFailed, "cannot write the kubeconfig: %w", err)
	}
	return nil
}

// lockKubeconfig takes the lock of kubectl: a file beside the kubeconfig, made by whoever holds it.
func lockKubeconfig(ctx context.Context, file string) (unlock func(), err error) {
	lock := file + ".lock"
	ctx, cancel := context.WithTimeout(ctx, kubeconfigWait)
	defer cancel()
	tick := time.NewTicker(kubeconfigPoll)
	defer tick.Stop()
	for {
		made, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL, kubeconfigMode) //nolint:gosec // beside the kubeconfig
		if err == nil {
			if err := made.Close(); err != nil {
				return nil, exitWith(ExitFailed, "cannot lock the kubeconfig: %w", err)
			}
			return func() { _ = os.Remove(lock) }, nil // whoever comes next says what is wrong with it
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, exitWith(ExitFailed, "cannot lock the kubeconfig: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, exitWith(ExitFailed, "the kubeconfig is locked by another program; if none is at work, remove %s", lock)
		}
	}
}

// replaceFile writes a file beside the old one and puts it in its place, so that there is never half a file.
func replaceFile(file string, data []byte, mode os.FileMode) error {
	next, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	_, err = next.Write(data)
	err = errors.Join(err, next.Chmod(mode), next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("%w", errors.Join(err, os.Remove(next.Name())))
	}
	return nil
}
