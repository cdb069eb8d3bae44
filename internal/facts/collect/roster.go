package collect

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
)

// Roster reads who belongs to the organisation: CSV with a heading, of which the columns username, active and name
// count. A person with several names in the cluster has several lines, or names separated by blanks.
func (g *Gatherer) Roster(name string) error {
	data, err := readBounded(name)
	if err != nil {
		return err
	}
	people, err := readRoster(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	g.found.Roster = people
	g.note(facts.SourceRoster, facts.Read, len(people), "", "")
	return nil
}

func readRoster(data []byte) ([]facts.Person, error) {
	reader := csv.NewReader(bytes.NewReader(data))
	heading, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("the heading cannot be read: %w", err)
	}
	columns := map[string]int{}
	for i, name := range heading {
		columns[strings.ToLower(strings.TrimSpace(name))] = i
	}
	username, ok := columns["username"]
	active, ok2 := columns["active"]
	if !ok || !ok2 {
		return nil, errors.New("the heading must name the columns username and active")
	}
	var people []facts.Person
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return people, nil
		}
		if err != nil {
			return nil, err
		}
		person := facts.Person{Usernames: strings.Fields(record[username])}
		if i, ok := columns["name"]; ok {
			person.Name = record[i]
		}
		switch word := strings.ToLower(strings.TrimSpace(record[active])); word {
		case "true", "yes", "1", "active":
			person.Active = true
		case "false", "no", "0", "inactive", "disabled":
		default:
			line, _ := reader.FieldPos(active)
			return nil, fmt.Errorf("line %d: active is %q, want true or false", line, word)
		}
		people = append(people, person)
	}
}
