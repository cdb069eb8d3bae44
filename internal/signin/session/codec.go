package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
)

// wire is a session with its secrets in clear. It goes through the agent's socket and into an encrypted file, and nowhere else.
type wire struct {
	Source

	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	ID          string    `json:"credentialID"`
	Session     string    `json:"session"`
	SessionEnds time.Time `json:"sessionEnds"`
	Username    string    `json:"username"`
	Groups      []string  `json:"groups,omitempty"`
	Refresh     string    `json:"refresh,omitempty"`
	Subject     string    `json:"subject,omitempty"`
	SignedInAt  time.Time `json:"signedInAt"`
	Earlier     []earlier `json:"earlier,omitempty"`
	Token       *token    `json:"token,omitempty"`
}

// token is one that is bound to the certificate.
type token struct {
	Token     string    `json:"token"`
	ID        string    `json:"id"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// earlier is a certificate that a pipeline had before.
type earlier struct {
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	NotAfter    time.Time `json:"notAfter"`
	Session     string    `json:"session"`
}

// Encode writes a session down, its secrets in clear: for the agent and for encryption only.
func Encode(s *Session) ([]byte, error) {
	var before []earlier
	for _, one := range s.Earlier {
		before = append(before, earlier{Certificate: one.Certificate, Key: one.Key.Reveal(), NotAfter: one.NotAfter, Session: one.Session})
	}
	var bound *token
	if s.Bound {
		bound = &token{Token: s.Token.Token.Reveal(), ID: s.Token.ID, ExpiresAt: s.Token.ExpiresAt}
	}
	return json.Marshal(wire{
		Earlier: before, Token: bound,
		Source: s.Source, Certificate: s.Certificate, Key: s.Key.Reveal(), NotBefore: s.NotBefore, NotAfter: s.NotAfter, ID: s.ID,
		Session: s.Session, SessionEnds: s.SessionEnds, Username: s.Username, Groups: s.Groups,
		Refresh: s.Refresh.Reveal(), Subject: s.Subject, SignedInAt: s.SignedInAt,
	})
}

// Decode reads what Encode wrote. The text is not part of an error: it holds secrets.
func Decode(data []byte) (*Session, error) {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		if position, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("no session: broken at byte %d", position.Offset)
		}
		return nil, errors.New("no session: a field has the wrong type")
	}
	s := &Session{
		Source: w.Source,
		Grant: signin.Grant{
			Credential: signin.Credential{Certificate: w.Certificate, Key: secret.New(w.Key), NotBefore: w.NotBefore, NotAfter: w.NotAfter, ID: w.ID},
			Session:    w.Session, SessionEnds: w.SessionEnds, Username: w.Username, Groups: w.Groups,
		},
		Refresh: secret.New(w.Refresh), Subject: w.Subject, SignedInAt: w.SignedInAt,
	}
	for _, one := range w.Earlier {
		s.Earlier = append(s.Earlier, signin.Grant{
			Credential: signin.Credential{Certificate: one.Certificate, Key: secret.New(one.Key), NotAfter: one.NotAfter}, Session: one.Session,
		})
	}
	if _, err := signin.ParseURL(s.Address.URL); err != nil {
		return nil, err
	}
	if w.Token != nil {
		s.Token = signin.BoundToken{Token: secret.New(w.Token.Token), ID: w.Token.ID, ExpiresAt: w.Token.ExpiresAt}
	}
	if s.Bound == s.Token.Token.IsEmpty() {
		return nil, errors.New("no session: it is to have a token beside its certificate and has none, or the other way round")
	}
	if _, err := s.TLS(); err != nil {
		return nil, errors.New("no session: its certificate and key do not belong together")
	}
	return s, nil
}
