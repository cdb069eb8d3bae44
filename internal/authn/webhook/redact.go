package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxQuotedBytes bounds what is taken over of a webhook's words.
const maxQuotedBytes = 512

// refusal is what the service said against a token. Its words come from outside: they are bounded, quoted, and do not show
// the token, which some services repeat.
type refusal struct{ words string }

func newRefusal(err error, token string) *refusal {
	words := redact(err.Error(), token)
	if len(words) > maxQuotedBytes {
		words = words[:maxQuotedBytes] + "…"
	}
	return &refusal{words: words}
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("the webhook says: %q", r.words) }

// redacted is an error whose text does not show the token.
type redacted struct {
	text  string
	cause error
}

// Error implements error.
func (r *redacted) Error() string { return r.text }

// Unwrap is for errors.Is.
func (r *redacted) Unwrap() error { return r.cause }

// redact takes the token out of a text, also as JSON and Go quote it.
func redact(text, token string) string {
	if token == "" {
		return text
	}
	spellings := []string{token, inside(strconv.Quote(token))}
	if quoted, err := json.Marshal(token); err == nil {
		spellings = append(spellings, inside(string(quoted)))
	}
	for _, spelling := range spellings {
		text = strings.ReplaceAll(text, spelling, "[redacted]")
	}
	return text
}

// inside takes the quotation marks off.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }
