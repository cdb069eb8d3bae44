package report

import (
	"encoding/json"
	"io"
	"time"
)

// document is the JSON form.
type document struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   documentAbout `json:"metadata"`
	Sources    []Source      `json:"sources"`
	Summary    []Figure      `json:"summary"`
	Findings   []Finding     `json:"findings"`
	Details    any           `json:"details,omitempty"`
}

// documentAbout says what a document is about.
type documentAbout struct {
	Tool      string    `json:"tool"`
	Version   string    `json:"version"`
	Target    string    `json:"target"`
	Generated time.Time `json:"generated"`
	// Complete is false where a source is missing; Sources says which.
	Complete bool `json:"complete"`
}

// writeJSON writes the form for programs, a line for each value, so that two runs can be compared line by line.
func (r *Report) writeJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document{
		APIVersion: APIVersion, Kind: r.Kind,
		Metadata: documentAbout{Tool: r.Tool, Version: r.Version, Target: r.Target, Generated: r.Generated.UTC(), Complete: r.Complete()},
		Sources:  filled(r.Sources), Summary: filled(r.Summary), Findings: filled(r.Findings), Details: r.Details,
	})
}

// filled makes an empty list of none, which programs read more easily than null.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
