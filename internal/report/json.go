package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"
)

// Listed are details that are mostly one long list. Its items are written one after another, so that a report of a hundred
// thousand lines needs no memory for its text.
type Listed interface {
	// Head is an object with everything but the list.
	Head() any
	// List is the list's name and its items.
	List() (name string, items iter.Seq[any])
}

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
	whole := document{
		APIVersion: APIVersion, Kind: r.Kind,
		Metadata: documentAbout{Tool: r.Tool, Version: r.Version, Target: r.Target, Generated: r.Generated.UTC(), Complete: r.Complete()},
		Sources:  filled(r.Sources), Summary: filled(r.Summary), Findings: filled(r.Findings), Details: r.Details,
	}
	long, isLong := r.Details.(Listed)
	if !isLong {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(whole)
	}
	whole.Details = long.Head()
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return err
	}
	// The head ends with the ends of "details" and of the document; the list goes before them.
	const end = "\n  }\n}"
	text, found := bytes.CutSuffix(text, []byte(end))
	if !found {
		return errNoHead
	}
	name, items := long.List()
	if _, err := out.Write(append(text, (",\n    \"" + name + "\": [")...)); err != nil {
		return err
	}
	separator := "\n      "
	// One buffer and one encoder for all: a large cluster's list has a hundred thousand items.
	var item bytes.Buffer
	encoder := json.NewEncoder(&item)
	encoder.SetIndent("      ", "  ")
	for one := range items {
		item.Reset()
		item.WriteString(separator)
		if err := encoder.Encode(one); err != nil {
			return err
		}
		item.Truncate(item.Len() - 1) // the encoder ends a line
		if _, err := out.Write(item.Bytes()); err != nil {
			return err
		}
		separator = ",\n      "
	}
	if separator[0] == ',' {
		separator = "\n    "
	} else {
		separator = ""
	}
	_, err = io.WriteString(out, separator+"]"+end+"\n")
	return err
}

// errNoHead is an error of this module's own: a head is an object with something in it.
var errNoHead = errors.New("the head of the details is no object, or an empty one")

// filled makes an empty list of none, which programs read more easily than null.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
