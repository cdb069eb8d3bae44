package collect

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
)

// minColumns are those that kube-apiserver demands of a line: token, user, uid (FILE-1).
const minColumns = 3

// staticTokens reads a token file as kube-apiserver does.
func (g *Gatherer) staticTokens(name string, data []byte) *facts.StaticTokenFile {
	read := &facts.StaticTokenFile{}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	lines := map[string]int{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			// The parser's own text may repeat what it read.
			read.Problems = append(read.Problems, "a line is not CSV: kube-apiserver does not start with it")
			break
		}
		line, _ := reader.FieldPos(0) // there is none after an error
		if len(record) < minColumns {
			read.Problems = append(read.Problems, fmt.Sprintf("line %d has fewer than three columns: kube-apiserver does not start with it", line))
			continue
		}
		token := record[0]
		entry := facts.StaticToken{Line: line, User: record[1], UID: record[2], Token: g.token(token)}
		// That a token equals its owner's name is the same as being in a public document.
		entry.Token.Published = entry.Token.Published || token == record[1] || token == record[2]
		if len(record) > minColumns {
			for group := range strings.SplitSeq(record[minColumns], ",") {
				if group != "" {
					entry.Groups = append(entry.Groups, group)
				}
			}
		}
		switch before, twice := lines[token]; {
		case token == "":
			read.Problems = append(read.Problems, fmt.Sprintf("line %d has an empty token: kube-apiserver leaves it out", line))
			continue
		case twice:
			read.Problems = append(read.Problems, fmt.Sprintf("lines %d and %d hold the same token: the last one counts", before, line))
		}
		lines[token] = line
		read.Entries = append(read.Entries, entry)
	}
	read.Copies = g.copies(name, data)
	return read
}

// copies are files beside one that hold the same, as editors and careful people leave them.
func (g *Gatherer) copies(name string, data []byte) []facts.File {
	const most = 1000 // a folder of configuration has fewer
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) > most {
		return nil
	}
	var all []facts.File
	for _, entry := range entries {
		if entry.Name() == filepath.Base(name) || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil || info.Size() > maxFileBytes {
			continue
		}
		path := filepath.Join(filepath.Dir(name), entry.Name())
		stem := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		other, err := readBounded(path)
		same := bytes.Equal(other, data) || strings.Contains(entry.Name(), stem) && sharesLine(other, data)
		if err != nil || !same {
			continue
		}
		copied := facts.File{Path: path, State: facts.Read, Digest: g.digest(string(other))}
		describeMode(&copied, info)
		all = append(all, copied)
	}
	return all
}

// sharesLine reports whether two token files have a line in common.
func sharesLine(a, b []byte) bool {
	lines := map[string]bool{}
	for line := range bytes.Lines(a) {
		lines[string(bytes.TrimSpace(line))] = true
	}
	for line := range bytes.Lines(b) {
		if line := bytes.TrimSpace(line); len(line) > 0 && lines[string(line)] {
			return true
		}
	}
	return false
}
