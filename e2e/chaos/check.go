package chaos

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkTimeout bounds the check of one person's history; one that is good takes milliseconds.
const checkTimeout = time.Minute

// maxPages is of how many persons it is shown what went wrong: more would bury it.
const maxPages = 10

// ErrViolation is wrapped by what Check returns of a history that cannot be.
var ErrViolation = errors.New("the history cannot be: a revocation did not hold")

// History is what happened, of all persons. The zero value is ready; it is safe for concurrent use.
type History struct {
	mu     sync.Mutex
	events []Event
}

// Add notes an event.
func (h *History) Add(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// Events are all events so far, in the order in which they were noted.
func (h *History) Events() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// Write writes the history into a file, one JSON object a line.
func (h *History) Write(file string) (err error) {
	f, err := os.Create(file) //nolint:gosec // the caller's own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriter(f)
	encoder := json.NewEncoder(buffered)
	for _, e := range h.Events() {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// Check wants every person's history to be one that the model allows. Of one that is not, a page that shows where is written
// into the folder, and an error that wraps ErrViolation names it.
func (h *History) Check(folder string) error {
	persons := make(map[string][]porcupine.Operation)
	for client, e := range h.Events() {
		persons[e.Person] = append(persons[e.Person], porcupine.Operation{ClientId: client, Input: &e, Call: int64(e.Begin), Return: int64(e.End)})
	}
	var errs []error
	bad := 0
	for _, person := range slices.Sorted(maps.Keys(persons)) {
		operations := persons[person]
		for i := range operations {
			operations[i].ClientId = i // each is one of its own: they may overlap
		}
		switch result := porcupine.CheckOperationsTimeout(model(), operations, checkTimeout); result {
		case porcupine.Ok:
		case porcupine.Unknown:
			errs = append(errs, fmt.Errorf("the history of %s (%d events) could not be checked within %s", person, len(operations), checkTimeout))
		default:
			if bad++; bad > maxPages {
				continue
			}
			_, info := porcupine.CheckOperationsVerbose(model(), operations, checkTimeout)
			page := filepath.Join(folder, person+".html")
			errs = append(errs, fmt.Errorf("%w: %s, of %d events; see %s", ErrViolation, person, len(operations), page),
				porcupine.VisualizePath(model(), info, page))
		}
	}
	if bad > maxPages {
		errs = append(errs, fmt.Errorf("%w: %d persons in all", ErrViolation, bad))
	}
	return errors.Join(errs...)
}
