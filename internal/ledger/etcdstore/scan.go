package etcdstore

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ostiary/ostiary/internal/ledger"
)

const (
	// together is how many records are read by their keys in one request, below the 128 operations that etcd takes by default.
	together = 120
	// manyOf is the part of a span, one in so many, above which what was written is not read key by key.
	manyOf = 4
)

// Scan implements ledger.Store.
//
// What was not written since a revision is not sent. etcd from 3.7 on finds that out in its index, without reading a value, where only keys
// are asked for; older ones read the values of the span, and keep them. How many keys the range has is counted before anything is
// left out, in the same answer (etcdserverpb.RangeResponse).
func (s *Store) Scan(ctx context.Context, span ledger.Span, each func(ledger.Record) error) (ledger.Scanned, error) {
	at, err := s.use()
	if err != nil {
		return ledger.Scanned{}, err
	}
	from, end := s.prefix+span.From, s.prefix+span.To
	if span.To == "" {
		end = clientv3.GetPrefixRangeEnd(s.prefix)
	}
	if span.Since == 0 {
		var scanned ledger.Scanned
		scanned.Revision, err = s.list(ctx, at, from, end, span.At, nextPage, func(record ledger.Record) error {
			scanned.Count++
			return each(record)
		})
		return scanned, err
	}
	if span.At != 0 && span.Since >= span.At {
		counted, err := at.get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(span.At), clientv3.WithCountOnly())
		if err != nil {
			return ledger.Scanned{}, fault("scan", err)
		}
		return ledger.Scanned{Revision: span.At, Count: counted.Count}, nil
	}
	since := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithMinModRev(span.Since + 1)}
	keys, err := at.get(ctx, from, append(since, clientv3.WithRev(span.At), clientv3.WithKeysOnly())...)
	if err != nil {
		return ledger.Scanned{}, fault("scan", err)
	}
	scanned := ledger.Scanned{Revision: span.At, Count: keys.Count}
	if scanned.Revision == 0 {
		scanned.Revision = keys.Header.GetRevision()
	}
	found := keys.Kvs
	if int64(len(found)) > max(together, keys.Count/manyOf) {
		written, err := at.get(ctx, from, append(since, clientv3.WithRev(scanned.Revision))...)
		if err != nil {
			return ledger.Scanned{}, fault("scan", err)
		}
		for _, kv := range written.Kvs {
			if err := each(s.record(kv)); err != nil {
				return scanned, err
			}
		}
		return scanned, nil
	}
	for len(found) > 0 {
		some := found[:min(len(found), together)]
		found = found[len(some):]
		reads := make([]clientv3.Op, len(some))
		for i, kv := range some {
			reads[i] = clientv3.OpGet(string(kv.GetKey()), clientv3.WithRev(scanned.Revision))
		}
		if err := s.readTogether(ctx, at, reads, each); err != nil {
			return scanned, err
		}
	}
	return scanned, nil
}

// readTogether hands on records that are there.
func (s *Store) readTogether(ctx context.Context, at *link, reads []clientv3.Op, each func(ledger.Record) error) error {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := at.client.Txn(limited).Then(reads...).Commit()
	if err != nil {
		return fault("scan", err)
	}
	for i, response := range answer.Responses {
		found := response.GetResponseRange().GetKvs()
		if len(found) != 1 {
			return fmt.Errorf("etcdstore: scan: %q was there, and is not at the same revision", reads[i].KeyBytes())
		}
		if err := each(s.record(found[0])); err != nil {
			return err
		}
	}
	return nil
}
