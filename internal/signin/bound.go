package signin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/secret"
)

// maxLifetime bounds what a gate may say of how long a token holds: far more than any gives, and no number that overflows.
const maxLifetime = 10 * 365 * 24 * time.Hour

// BoundToken is a token that is good only beside the certificate that it is bound to (RFC 8705 section 3). The zero value is none. It
// never prints its token.
type BoundToken struct {
	// Token goes into the Authorization header of requests.
	Token secret.String
	// ID is under which logs and the ledger have it.
	ID string
	// ExpiresAt is when it ends, by this machine's clock.
	ExpiresAt time.Time
}

// Bind exchanges a subject token for a token that is bound to a certificate of the session that the exchange names, which must be one.
func (g *Gate) Bind(ctx context.Context, exchange Exchange, to Credential) (*BoundToken, error) {
	client, err := g.as(to)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	form := url.Values{
		"grant_type":           {adminapi.GrantTypeTokenExchange},
		"subject_token":        {exchange.Subject.Reveal()},
		"subject_token_type":   {exchange.SubjectType},
		"requested_token_type": {adminapi.TokenTypeAccessToken},
	}
	exchange.add(form)
	asked := time.Now()
	answer, err := g.token(ctx, client, form, adminapi.TokenTypeAccessToken)
	if err != nil {
		return nil, err
	}
	bound, err := newBoundToken(answer, exchange.Session, asked)
	if err != nil {
		return nil, &NoAnswerError{From: g.address.URL, Cause: err}
	}
	return bound, nil
}

// newBoundToken checks that an answer is a token of a session that can be shown to a server.
func newBoundToken(answer *adminapi.TokenAnswer, session string, asked time.Time) (*BoundToken, error) {
	seconds := answer.ExpiresIn
	switch {
	case !strings.EqualFold(answer.TokenType, "Bearer"):
		return nil, fmt.Errorf("the answer's token is of the type %s, not Bearer", Foreign(answer.TokenType))
	case answer.Session != session:
		return nil, errors.New("the answer's token is of another session")
	case !bearable(answer.AccessToken):
		return nil, errors.New("the answer's token holds characters that no token has")
	case seconds <= 0 || seconds > int64(maxLifetime/time.Second):
		return nil, fmt.Errorf("the answer's token holds for %d seconds", seconds)
	}
	lasts := time.Duration(seconds) * time.Second
	return &BoundToken{Token: secret.New(answer.AccessToken), ID: answer.CredentialID, ExpiresAt: asked.Add(lasts)}, nil
}

// bearable reports whether a text can be sent as a bearer token (RFC 6750 section 2.1, b64token).
func bearable(text string) bool {
	body := strings.TrimRight(text, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/", r)
	})
}
