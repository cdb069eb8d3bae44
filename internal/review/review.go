// Package review freezes who can get in at one moment, takes the decisions that reviewers make about each line, and proves
// afterwards what became of them: the evidence that SOC 2 (CC6.1 to CC6.3) and ISO 27001 (A.5.15 to A.5.18, A.8.2) ask for.
//
// A population is frozen with a hash over every line, so that what was decided about is what was there, and nothing was
// left out afterwards. A population that lacks a source is refused. The hash is no signature: sign the file with what the
// organisation signs with.
package review

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/inventory"
	"github.com/ostiary/ostiary/internal/report"
)

const (
	// Kind heads a review's file; its APIVersion is that of reports.
	Kind = "AccessReview"
	// maxFile bounds what is read of one.
	maxFile = 512 << 20
)

// Review is one access review.
type Review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Tool is the program's version, Target the cluster.
	Tool   string `json:"tool"`
	Target string `json:"target"`
	// Frozen is when the facts were read, StartedBy who froze them.
	Frozen    time.Time `json:"frozen"`
	StartedBy string    `json:"startedBy,omitempty"`
	// Sources are all that were asked; Counts is how many lines there are of each mechanism.
	Sources []report.Source `json:"sources"`
	Counts  map[string]int  `json:"counts"`
	// Population is every line.
	Population []Item `json:"population"`
	// Hash is the SHA-256 of all of the above, in hex.
	Hash string `json:"hash"`
	// Decisions are about the lines, by id; empty until they are made. DecisionsHash covers Hash and them.
	Decisions     []Decision `json:"decisions,omitempty"`
	DecisionsHash string     `json:"decisionsHash,omitempty"`
}

// Item is one line of the population: what a reviewer needs to decide.
type Item struct {
	ID         string    `json:"id"`
	GateID     string    `json:"gateID,omitempty"`
	Mechanism  string    `json:"mechanism"`
	Username   string    `json:"username"`
	Owner      string    `json:"owner,omitempty"`
	Groups     []string  `json:"groups,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	Power      string    `json:"power"`
	Why        string    `json:"why,omitempty"`
	Privileged bool      `json:"privileged"`
	State      string    `json:"state"`
	Issued     time.Time `json:"issued,omitzero"`
	IssuedBy   string    `json:"issuedBy,omitempty"`
	Expires    time.Time `json:"expires,omitzero"`
	LastUsed   time.Time `json:"lastUsed,omitzero"`
	// WindowFrom is since when use would have been seen; zero where there was no record.
	WindowFrom time.Time `json:"windowFrom,omitzero"`
}

// Verdict is what a reviewer says. The zero value says nothing.
type Verdict string

// The verdicts.
const (
	Keep   Verdict = "keep"
	Revoke Verdict = "revoke"
)

// Decision is what somebody decided about a line.
type Decision struct {
	ID       string    `json:"id"`
	Verdict  Verdict   `json:"verdict"`
	Reason   string    `json:"reason,omitempty"`
	Reviewer string    `json:"reviewer"`
	Ticket   string    `json:"ticket,omitempty"`
	At       time.Time `json:"at"`
	// Revocation is the ledger's record of it, where a gate carried it out.
	Revocation string `json:"revocation,omitempty"`
}

// ErrIncomplete says that a population lacks a source. Match it with errors.Is.
var ErrIncomplete = errors.New("the population is not complete: a review of a part proves nothing about the rest")

// Start freezes everything that may let somebody in.
func Start(inv *inventory.Inventory, tool, startedBy string, incompleteOK bool) (*Review, error) {
	r := &Review{
		APIVersion: report.APIVersion, Kind: Kind, Tool: tool, Target: inv.Target, Frozen: inv.At.UTC(), StartedBy: startedBy,
		Sources: inv.Sources(), Counts: map[string]int{}, Population: []Item{},
	}
	probe := report.Report{Sources: r.Sources}
	if !incompleteOK && !probe.Complete() {
		var missing strings.Builder
		for _, source := range r.Sources {
			if source.Access != report.Read && source.Access != report.Off && !source.Optional {
				fmt.Fprintf(&missing, "\n  %s is %s: %s", source.Name, source.Access, source.Why)
			}
		}
		return nil, fmt.Errorf("%w%s", ErrIncomplete, missing.String())
	}
	for _, c := range inv.Credentials {
		if !c.State.Works() {
			continue
		}
		item := Item{
			ID: c.ID, GateID: c.GateID, Mechanism: c.MechanismText(), Username: c.Username, Owner: c.Owner, Groups: c.Groups, Issuer: c.Issuer, Power: c.Power.Level.String(),
			Privileged: c.Power.Level.IsWholeCluster(), State: string(c.State), Issued: c.Issued, IssuedBy: c.IssuedBy, Expires: c.Expires,
			LastUsed: c.LastUsed, WindowFrom: c.Window.From,
		}
		if len(c.Power.Reasons) > 0 {
			item.Why = c.Power.Reasons[0].String()
		}
		r.Population = append(r.Population, item)
		r.Counts[item.Mechanism]++
	}
	var err error
	r.Hash, err = r.hash()
	return r, err
}

// hash covers the population and what it was read from, and no decision.
func (r *Review) hash() (string, error) {
	frozen := *r
	frozen.Hash, frozen.Decisions, frozen.DecisionsHash = "", nil, ""
	encoded, err := json.Marshal(&frozen)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}

func (r *Review) decisionsHash() (string, error) {
	encoded, err := json.Marshal(r.Decisions)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(r.Hash+"\n"), encoded...))
	return hex.EncodeToString(sum[:]), nil
}

// Write writes the file.
func (r *Review) Write(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// ErrChanged says that a file is not what was frozen or decided. Match it with errors.Is.
var ErrChanged = errors.New("the file was changed since it was written")

// Read reads a file, and refuses one whose hashes are wrong.
func Read(in io.Reader) (*Review, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("the review is longer than %d bytes", maxFile)
	}
	var r Review
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("the file is no review: %w", err)
	}
	if r.APIVersion != report.APIVersion || r.Kind != Kind {
		return nil, fmt.Errorf("the file is %q of %q, not an %s of %s: make one with kubectl ostiary review start", r.Kind, r.APIVersion, Kind, report.APIVersion)
	}
	want, err := r.hash()
	if err != nil {
		return nil, err
	}
	if want != r.Hash {
		return nil, fmt.Errorf("%w: the population's hash is %s, and the file says %s", ErrChanged, want, r.Hash)
	}
	if len(r.Decisions) > 0 {
		if want, err = r.decisionsHash(); err != nil {
			return nil, err
		}
		if want != r.DecisionsHash {
			return nil, fmt.Errorf("%w: the decisions' hash is %s, and the file says %s", ErrChanged, want, r.DecisionsHash)
		}
	}
	return &r, nil
}
