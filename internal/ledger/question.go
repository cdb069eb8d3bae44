package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// askWithin is how long replicas have to answer a question. One that is silent for longer is named as missing.
	askWithin = 2 * time.Second
	// maxAnswer bounds what one replica answers, far below what etcd takes in one request.
	maxAnswer = 1 << 20
)

// question is what one replica asks all others through the store: what only they know, such as the streams that are open
// there.
type question struct {
	From string `json:"from"`
	Text []byte `json:"text"`
}

// Ask asks every other replica, and returns their answers by name, and the names of those that did not answer in time.
func (l *Ledger) Ask(ctx context.Context, text []byte) (answers map[string][]byte, missing []string, err error) {
	answers = make(map[string][]byte)
	if l.config.Replica == "" {
		return answers, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	id := newName()
	value, err := json.Marshal(question{From: l.config.Replica, Text: text})
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: %w", err)
	}
	revision, err := l.config.Store.Commit(ctx, Transaction{Puts: []Record{{Key: askKey + id, Value: value}}, Essential: true})
	if err != nil {
		return nil, nil, err
	}
	waits := make(map[string]bool)
	if _, err := l.config.Store.List(ctx, replicaKey, "", func(record Record) error {
		waits[strings.TrimPrefix(record.Key, replicaKey)] = true
		return nil
	}); err != nil {
		return nil, nil, err
	}
	delete(waits, l.config.Replica)
	removes := []string{askKey + id}
	if len(waits) > 0 {
		_ = l.config.Store.Watch(ctx, answerKey+id+"/", revision, func(change Change) error {
			for _, record := range change.Records {
				name := strings.TrimPrefix(record.Key, answerKey+id+"/")
				if answers[name] = record.Value; waits[name] {
					delete(waits, name)
					removes = append(removes, record.Key)
				}
			}
			if len(waits) == 0 {
				return errEnough
			}
			return nil
		})
	}
	missing = slices.Sorted(maps.Keys(waits))
	for _, name := range missing {
		removes = append(removes, answerKey+id+"/"+name) // it may come later
	}
	over, end := context.WithTimeout(context.WithoutCancel(ctx), freshFor)
	defer end()
	_, _ = l.config.Store.Commit(over, Transaction{Deletes: removes, Essential: true})
	return answers, missing, nil
}

// answering answers what others ask until ctx ends.
func (l *Ledger) answering(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-l.questions:
			l.answerOne(ctx, id)
		}
	}
}

func (l *Ledger) answerOne(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	record, err := l.config.Store.Read(ctx, askKey+id)
	if err != nil || record.Value == nil {
		return // its time is over
	}
	var asked question
	if err := decode(record.Key, record.Value, &asked); err != nil || asked.From == l.config.Replica {
		return
	}
	answer := []byte("null")
	if l.config.Answer != nil {
		if text := l.config.Answer(asked.Text); len(text) <= maxAnswer {
			answer = text
		}
	}
	// Only while the question stands: nobody would remove the answer to another.
	_, _ = l.config.Store.Commit(ctx, Transaction{
		Unchanged: []Record{record}, Puts: []Record{{Key: answerKey + id + "/" + l.config.Replica, Value: answer}}, Essential: true,
	})
}

// takeQuestion hands on what another replica asks. Questions that nobody has time for are not answered.
func (l *Ledger) takeQuestion(record Record) {
	if record.Value == nil {
		return
	}
	select {
	case l.questions <- strings.TrimPrefix(record.Key, askKey):
	default:
	}
}
