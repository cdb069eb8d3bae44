package etcdstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/mod/semver"
)

const (
	// lookEvery is how often a member is asked for its version, alarms and space.
	lookEvery = 10 * time.Second
	// retryEvery is how soon one is asked again that did not answer or was refused.
	retryEvery = time.Second
	// lookTimeout bounds one look.
	lookTimeout = 3 * time.Second
)

// errNotAsked is the state of a member before the first answer.
var errNotAsked = errors.New("not asked yet")

// ErrVersion is wrapped where a member runs an etcd with faults that a ledger cannot live with.
var ErrVersion = errors.New("its version is refused")

// member is what is known of a member of the cluster. It is read and written under the lock of its cluster.
type member struct {
	endpoint string
	again    chan struct{} // asks for a look at once

	good    bool  // its version was found good, and it was not refused since
	refused error // why the cluster must not be asked while this is a member
	err     error // why it could not be asked last; nil if it was
	cluster uint64
	version string
	alarms  []string
	// used and quota are the bytes of its database.
	used, quota int64
}

// attend looks at a member again and again until the store is closed.
func (e *external) attend(m *member) {
	for {
		e.mu.Lock()
		config := e.config
		e.mu.Unlock()
		status, err := ask(e.life, config, m.endpoint)
		if e.life.Err() != nil {
			return
		}
		next := lookEvery
		if !e.note(m, status, err) {
			next = retryEvery
		}
		timer := time.NewTimer(next)
		select {
		case <-e.life.Done():
			timer.Stop()
			return
		case <-m.again:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ask asks one member, and no other, for its state.
func ask(ctx context.Context, config *tls.Config, endpoint string) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	client, err := dial(ctx, config, []string{endpoint})
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return status, nil
}

// note takes in an answer, and logs what is news of it. It reports whether all is well.
func (e *external) note(m *member, status *clientv3.StatusResponse, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.judge()
	at := slog.String("endpoint", m.endpoint)
	if err != nil {
		if m.err == nil || errors.Is(m.err, errNotAsked) {
			e.logger.Warn("a member of the ledger's etcd does not answer; it is asked again", at, slog.String("cause", err.Error()))
		}
		m.err = err
		return false // what was found good or bad before holds until it answers
	}
	if m.err != nil && !errors.Is(m.err, errNotAsked) {
		e.logger.Info("a member of the ledger's etcd answers again", at)
	}
	m.used, m.quota = status.DbSize, cmp.Or(status.DbSizeQuota, e.quota)
	m.err, m.cluster = nil, status.Header.GetClusterId()
	warning, refused := judgeVersion(status.Version)
	if changed := m.version != status.Version; changed && refused != nil {
		e.logger.Error("the ledger's etcd is refused", at, slog.String("cause", refused.Error()))
	} else if changed && warning != "" {
		e.logger.Warn("the ledger's etcd should be updated", at, slog.String("cause", warning))
	}
	m.version, m.refused, m.good = status.Version, refused, refused == nil
	slices.Sort(status.Errors)
	if !slices.Equal(m.alarms, status.Errors) {
		if len(status.Errors) > 0 {
			e.logger.Error("the ledger's etcd reports that something is wrong", at, slog.String("cause", strings.Join(status.Errors, "; ")))
		} else {
			e.logger.Info("the ledger's etcd reports that all is well again", at)
		}
		m.alarms = slices.Clone(status.Errors)
	}
	return m.good && len(m.alarms) == 0
}

// release is the least versions of a minor release: that which is taken, and that which has no known hole that matters here.
type release struct{ least, better string }

// releases are those that had faults. Later ones had none that are known.
//
// Before least, a member that was paused may answer a linearizable read with old data (etcd issue 20418), and
// CVE-2026-33413 and CVE-2026-33343 are open. Before better, a watch may show more than a role allows (GHSA-xg4h-6gfc-h4m8)
// and a revoked client certificate may be taken (GHSA-3wh4-j44w-pg92).
func releases() map[string]release {
	return map[string]release{
		"v3.5": {"v3.5.28", "v3.5.33"},
		"v3.6": {"v3.6.9", "v3.6.14"},
		"v3.7": {"v3.7.0", "v3.7.1"},
	}
}

// judgeVersion returns what speaks against a version of etcd: a warning, or an error that wraps ErrVersion.
func judgeVersion(version string) (warning string, refused error) {
	v := "v" + version
	if !semver.IsValid(v) || semver.Major(v) != "v3" {
		return "", fmt.Errorf("%w: %q is no version of etcd 3", ErrVersion, version)
	}
	faults, known := releases()[semver.MajorMinor(v)]
	switch {
	case !known && semver.Compare(v, "v3.5.0") < 0:
		return "", fmt.Errorf("%w: etcd %s is older than 3.5.28; update it", ErrVersion, version)
	case !known:
		return "", nil
	case semver.Compare(v, faults.least) < 0:
		return "", fmt.Errorf("%w: etcd %s may answer with data that is out of date, so that revocations would not hold; update it to %s or later",
			ErrVersion, version, faults.better[1:])
	case semver.Compare(v, faults.better) < 0:
		return fmt.Sprintf("etcd %s has holes that %s closes (GHSA-xg4h-6gfc-h4m8, GHSA-3wh4-j44w-pg92)", version, faults.better[1:]), nil
	default:
		return "", nil
	}
}
