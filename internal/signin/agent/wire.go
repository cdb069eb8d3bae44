package agent

import (
	"errors"
	"time"

	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/session"
)

// The agent's paths. The number is that of the whole protocol; programs of another one say so plainly instead of guessing.
const (
	pathPut        = "/v1/put"
	pathCredential = "/v1/credential"
	pathLead       = "/v1/lead"
	pathLeave      = "/v1/leave"
	pathList       = "/v1/list"
)

// maxMessage bounds what is read of a message, in bytes: a session with a long chain, and a person in thousands of groups.
const maxMessage = 4 << 20

type credentialRequest struct {
	Name string `json:"name"`
	// Begin is set by pipelines, which sign in without a person.
	Begin *beginRequest `json:"begin,omitempty"`
}

type beginRequest struct {
	Source session.Source `json:"source"`
	Token  string         `json:"token,omitempty"`
}

type leadRequest struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

type leadAnswer struct {
	Lead bool `json:"lead"`
}

type leaveRequest struct {
	Names []string `json:"names,omitempty"`
	All   bool     `json:"all,omitempty"`
	Local bool     `json:"local,omitempty"`
}

// Handed is what a program gets to authenticate with.
type Handed struct {
	// Certificate and Key are PEM, in clear.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// Token is bound to the certificate; empty where the session has none.
	Token string `json:"token,omitempty"`
	// NotAfter is when the certificate ends.
	NotAfter time.Time `json:"notAfter"`
	// Address is the gate's: to no other server may the certificate be shown.
	Address signin.Address `json:"address"`
	// Username is for messages.
	Username string `json:"username"`
}

// Hand is what of a session a program gets.
func Hand(s *session.Session) *Handed {
	return &Handed{
		Certificate: s.Certificate, Key: s.Key.Reveal(), Token: s.Token.Token.Reveal(), NotAfter: s.NotAfter, Address: s.Address, Username: s.Username,
	}
}

// failure is an error on its way through the socket.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The codes of failures.
const (
	codeNoSession = "no_session"
	codeEnded     = "ended"
	codeNoAnswer  = "no_answer"
	codeRefused   = "refused"
	codeEnding    = "ending"
	codeOther     = "other"
)

// codeOf is the code of an error.
func codeOf(err error) string {
	if _, noAnswer := errors.AsType[*signin.NoAnswerError](err); noAnswer {
		return codeNoAnswer
	}
	if _, refused := errors.AsType[*signin.RefusedError](err); refused && !errors.Is(err, ErrEnded) {
		return codeRefused
	}
	switch {
	case errors.Is(err, ErrNoSession):
		return codeNoSession
	case errors.Is(err, ErrEnded):
		return codeEnded
	case errors.Is(err, errEnding):
		return codeEnding
	default:
		return codeOther
	}
}

// RefusedError says that the gate or the provider said no to a sign-in.
type RefusedError struct{ message string }

// Error implements error.
func (e *RefusedError) Error() string { return e.message }

// NoAnswerError says that the gate or the provider did not answer.
type NoAnswerError struct{ message string }

// Error implements error.
func (e *NoAnswerError) Error() string { return e.message }

// told is an error with a text of its own that is one of the sentinels.
type told struct {
	message string
	is      error
}

func (e *told) Error() string { return e.message }
func (e *told) Unwrap() error { return e.is }

// err is what the failure says, as an error again.
func (f failure) err() error {
	switch f.Code {
	case codeNoSession:
		return &told{message: f.Message, is: ErrNoSession}
	case codeEnded:
		return &told{message: f.Message, is: ErrEnded}
	case codeEnding:
		return &told{message: f.Message, is: ErrNoAgent}
	case codeNoAnswer:
		return &NoAnswerError{message: f.Message}
	case codeRefused:
		return &RefusedError{message: f.Message}
	default:
		return errors.New(f.Message)
	}
}
