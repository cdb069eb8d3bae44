package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxEarlierBytes bounds what is read of an earlier report: some hundred thousand credentials.
const maxEarlierBytes = 1 << 30

// Earlier is what an earlier run reported. The zero value is a run that found nothing.
type Earlier struct {
	// Kind is the earlier report's.
	Kind string
	// Complete says whether all its sources were read. What an incomplete one lacks may look new.
	Complete bool

	findings map[string]State
	keys     map[string]bool
}

// ReadEarlier reads a report that was written as JSON. keys gives the keys of the rows that Details stand for; nil where
// the report is one of findings only.
func ReadEarlier(in io.Reader, keys func(details []byte) ([]string, error)) (*Earlier, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxEarlierBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxEarlierBytes {
		return nil, fmt.Errorf("the earlier report is longer than %d bytes", maxEarlierBytes)
	}
	var read struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Complete bool `json:"complete"`
		} `json:"metadata"`
		Findings []struct {
			Fingerprint string `json:"fingerprint"`
			State       State  `json:"state"`
		} `json:"findings"`
		Details json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, fmt.Errorf("the earlier report is no JSON report: %w", err)
	}
	if read.APIVersion != APIVersion {
		return nil, fmt.Errorf("the earlier report has apiVersion %q, want %s: write it with --output json", read.APIVersion, APIVersion)
	}
	earlier := &Earlier{Kind: read.Kind, Complete: read.Metadata.Complete, findings: map[string]State{}, keys: map[string]bool{}}
	for _, f := range read.Findings {
		earlier.findings[f.Fingerprint] = f.State
	}
	if keys != nil && len(read.Details) > 0 {
		rows, err := keys(read.Details)
		if err != nil {
			return nil, fmt.Errorf("the earlier report: %w", err)
		}
		for _, key := range rows {
			earlier.keys[key] = true
		}
	}
	return earlier, nil
}

// ErrOtherKind says that two reports cannot be compared. Match it with errors.Is.
var ErrOtherKind = errors.New("the earlier report is of another kind")

// OnlyNew leaves in the report what an earlier one did not have: findings that fail or warn now and did not then, and
// rows whose keys are new. Sources stay: what could not be read is as true as before. Call it after Sort.
func (r *Report) OnlyNew(earlier *Earlier) error {
	if earlier.Kind != r.Kind {
		return fmt.Errorf("%w: %q, want %q", ErrOtherKind, earlier.Kind, r.Kind)
	}
	r.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool {
		return !f.State.isBad() || earlier.findings[f.Fingerprint].isBad()
	})
	r.Table.Rows = slices.DeleteFunc(slices.Clone(r.Table.Rows), func(row Row) bool { return earlier.keys[row.Key] })
	return nil
}

// Knew reports whether the earlier report had a row of this key.
func (e *Earlier) Knew(key string) bool { return e.keys[key] }
