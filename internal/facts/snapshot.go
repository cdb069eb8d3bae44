package facts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// SnapshotKind heads a snapshot, with SnapshotVersion, which goes up when older readers would misunderstand it.
	SnapshotKind = "FactsSnapshot"
	// SnapshotVersion is the version of its form.
	SnapshotVersion = "ostiary.dev/v1alpha1"
	// MaxSnapshotBytes bounds what is read: a cluster at the size that Kubernetes is tested for stays below.
	MaxSnapshotBytes = 1 << 30
)

// snapshot is the file.
type snapshot struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Facts      *Facts `json:"facts"`
}

// Encode writes a snapshot: indented, so that it can be read before it is given away.
func Encode(w io.Writer, f *Facts) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(snapshot{APIVersion: SnapshotVersion, Kind: SnapshotKind, Facts: f}); err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	return nil
}

// Decode reads a snapshot. Fields that are not known are refused: leaving one out could hide a finding.
func Decode(r io.Reader) (*Facts, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSnapshotBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot: %w", err)
	}
	if len(data) > MaxSnapshotBytes {
		return nil, fmt.Errorf("the snapshot is longer than %d bytes", MaxSnapshotBytes)
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("the file is no snapshot: %w", err)
	}
	if head.APIVersion != SnapshotVersion || head.Kind != SnapshotKind {
		return nil, fmt.Errorf("the file is %q of %q, not a %s of %s; make one with: kubectl ostiary snapshot",
			head.Kind, head.APIVersion, SnapshotKind, SnapshotVersion)
	}
	var read snapshot
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return nil, fmt.Errorf("reading the snapshot: %w; it may be of a newer version of this program", err)
	}
	if decoder.More() {
		return nil, errors.New("reading the snapshot: something follows after its end")
	}
	if read.Facts == nil || read.Facts.CollectedAt.IsZero() {
		return nil, errors.New("the snapshot is empty: it does not say when it was taken")
	}
	return read.Facts, nil
}
