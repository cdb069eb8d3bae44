package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
)

// Question is a GET request to an API server.
type Question struct {
	Path  string
	Query url.Values
	// Accept is the content type that is wanted; empty means JSON.
	Accept string
	// Header is sent along, spelled as it is.
	Header map[string][]string
}

// Answer is what came back, whatever the status.
type Answer struct {
	Status     int
	Body       []byte
	RetryAfter time.Duration
}

// Asker asks one API server, with one credential or none. An error means that no answer came.
type Asker interface {
	Ask(ctx context.Context, question Question) (Answer, error)
}

// Limits of what an API server is asked for.
const (
	// pageSize is how many objects are asked for at once: what kubectl asks for, which keeps the server's memory small.
	pageSize = 500
	// metadataList asks for names, labels and annotations of a list only: no token leaves the server.
	metadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	// maxTries bounds how often a busy server is asked again, longestWait how long it is waited for each time.
	maxTries    = 5
	longestWait = 30 * time.Second
	firstWait   = time.Second
)

// askError is an answer that is not 200.
type askError struct {
	path   string
	status int
	reason string
}

// Error implements error.
func (e *askError) Error() string {
	return fmt.Sprintf("GET %s: status %d: %s", e.path, e.status, e.reason)
}

// StatusOf is the status of an answer that is not 200; 0 for other errors.
func StatusOf(err error) int {
	if answer, ok := errors.AsType[*askError](err); ok {
		return answer.status
	}
	return 0
}

// get asks for one thing. A server that is busy is asked again.
func get(ctx context.Context, asker Asker, question Question) ([]byte, error) {
	wait := firstWait
	for try := 1; ; try++ {
		answer, err := asker.Ask(ctx, question)
		if err != nil {
			return nil, fmt.Errorf("GET %s: %w", question.Path, err)
		}
		if answer.Status == http.StatusOK {
			return answer.Body, nil
		}
		busy := answer.Status == http.StatusTooManyRequests || answer.Status == http.StatusServiceUnavailable
		if !busy || try == maxTries {
			return nil, &askError{path: question.Path, status: answer.Status, reason: reason(answer.Body)}
		}
		if answer.RetryAfter > 0 {
			wait = answer.RetryAfter
		}
		timer := time.NewTimer(min(wait, longestWait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("GET %s: %w", question.Path, context.Cause(ctx))
		}
		wait *= 2
	}
}

// reason is what the server says of a refusal, in its own words.
func reason(body []byte) string {
	const longest = 300 // a line for people
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &status) != nil || status.Message == "" {
		return "no reason was given"
	}
	if len(status.Message) > longest {
		return status.Message[:longest] + "..."
	}
	return status.Message
}

// counted asks another and counts, for whoever answers for the API server's load.
type counted struct {
	Asker

	found *facts.Facts
}

// Ask implements Asker.
func (c counted) Ask(ctx context.Context, question Question) (Answer, error) {
	answer, err := c.Asker.Ask(ctx, question)
	c.found.Calls++
	c.found.Bytes += int64(len(answer.Body))
	return answer, err
}

// page is one page of a list.
type page[T any] struct {
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []T `json:"items"`
}

// list asks for all pages of a list and hands on each object. A page that has gone stale (410) means beginning anew,
// once: keep is then called with nil first, to forget what it had.
func list[T any](ctx context.Context, asker Asker, question Question, keep func(*T)) (requests int, err error) {
	query := url.Values{}
	maps.Copy(query, question.Query)
	query.Set("limit", strconv.Itoa(pageSize))
	again := false
	for {
		body, err := get(ctx, asker, Question{Path: question.Path, Query: query, Accept: question.Accept})
		requests++
		if StatusOf(err) == http.StatusGone && !again {
			again = true
			query.Del("continue")
			keep(nil)
			continue
		}
		if err != nil {
			return requests, err
		}
		var read page[T]
		if err := json.Unmarshal(body, &read); err != nil {
			return requests, fmt.Errorf("GET %s: the answer is no list: %w", question.Path, err)
		}
		for i := range read.Items {
			keep(&read.Items[i])
		}
		if read.Metadata.Continue == "" {
			return requests, nil
		}
		query.Set("continue", read.Metadata.Continue)
	}
}
