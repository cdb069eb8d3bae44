package signin

import (
	"fmt"
	"strconv"
	"strings"
)

// maxForeignText bounds what is shown of a text that somebody else wrote. A sentence and a link fit.
const maxForeignText = 300

// RefusedError is an answer that says no: asking again with the same will not help. The zero value is not used.
type RefusedError struct {
	// By is who refused: a URL.
	By string
	// Status is the HTTP status.
	Status int
	// Code is the error code of RFC 6749 section 5.2, for example "invalid_grant"; empty where the answer had none.
	Code string
	// Description is what the answer says for people; it is foreign text.
	Description string
}

// Error implements error. What the other side wrote is quoted where a terminal could take it for a command.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%s refused", e.By)
	if e.Code != "" {
		text += ": " + Foreign(e.Code)
	} else {
		text += fmt.Sprintf(" with status %d", e.Status)
	}
	if e.Description != "" {
		text += ": " + Foreign(e.Description)
	}
	return text
}

// NoAnswerError says that no answer came, or none that decides anything: asking again later may help.
type NoAnswerError struct {
	// From is who was asked: a URL.
	From string
	// Cause is why.
	Cause error
}

// Error implements error. The cause may hold what the other side wrote, and is quoted where a terminal could take it for a command.
func (e *NoAnswerError) Error() string {
	return fmt.Sprintf("no good answer from %s: %s", e.From, Foreign(e.Cause.Error()))
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *NoAnswerError) Unwrap() error { return e.Cause }

// Foreign makes a text that somebody else wrote fit to be shown: shortened, and quoted where it could steer a terminal.
func Foreign(text string) string {
	if len(text) > maxForeignText {
		text = strings.ToValidUTF8(text[:maxForeignText], "") + "…"
	}
	for _, r := range text {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.QuoteToASCII(text)
		}
	}
	return text
}
