package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ostiary/ostiary/internal/signin/session"
)

const (
	// startTimeout is for how long a new agent may take to listen, on a machine that does very much else.
	startTimeout = time.Minute
	// startPoll is how often it is asked for meanwhile.
	startPoll = 20 * time.Millisecond
	// startAgain is after how long another is started, and each time twice as long: the first may have found an agent that was about
	// to end, and gone.
	startAgain = 2 * time.Second
)

// ErrNoAgent says that no agent runs, so that nobody is signed in.
var ErrNoAgent = errors.New("no agent runs")

// Client asks the agent of this user. It is safe for concurrent use. Close it to let go of its connections.
type Client struct {
	http *http.Client
	// start brings another agent where this one is about to end; nil where there need not be one.
	start func() error
}

// Dial returns a client of the agent that runs, or ErrNoAgent.
func Dial(ctx context.Context) (*Client, error) {
	folder, err := Folder()
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, folder)
	if err != nil {
		return nil, err
	}
	first := make(chan net.Conn, 1)
	first <- conn
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case conn := <-first:
				return conn, nil
			default:
				return dial(ctx, folder)
			}
		},
	}}}, nil
}

// Start returns a client of the agent, and starts one where none runs: start is called for that, and runs Serve in a process
// of its own.
func Start(ctx context.Context, start func() error) (*Client, error) {
	client, err := Dial(ctx)
	if !errors.Is(err, ErrNoAgent) {
		if err == nil {
			client.start = start
		}
		return client, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the agent did not start within %s", startTimeout))
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for again, wait := time.Now(), startAgain; ; {
		if now := time.Now(); !now.Before(again) {
			if err := start(); err != nil {
				return nil, fmt.Errorf("cannot start the agent: %w", err)
			}
			again, wait = now.Add(wait), 2*wait
		}
		if client, err = Dial(ctx); !errors.Is(err, ErrNoAgent) {
			if err == nil {
				client.start = start
			}
			return client, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// dial connects to the socket, and makes sure that the user's own agent is at its other end.
func dial(ctx context.Context, folder string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(folder, socketName))
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	if err := checkPeer(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Close lets go of connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Put hands a session over.
func (c *Client) Put(ctx context.Context, s *session.Session) error {
	message, err := session.Encode(s)
	if err != nil {
		return err
	}
	return c.ask(ctx, pathPut, message, &struct{}{})
}

// Credential asks for a certificate of a session that is there: ErrNoSession, ErrEnded, *RefusedError and *NoAnswerError say
// why there is none.
func (c *Client) Credential(ctx context.Context, name string) (*Handed, error) {
	return call[Handed](ctx, c, pathCredential, credentialRequest{Name: name})
}

// Pipeline asks for a certificate of a pipeline's session, which the agent begins where there is none. token may be empty
// where the source names a file.
func (c *Client) Pipeline(ctx context.Context, source session.Source, token string) (*Handed, error) {
	return call[Handed](ctx, c, pathCredential, credentialRequest{Begin: &beginRequest{Source: source, Token: token}})
}

// List describes the sessions.
func (c *Client) List(ctx context.Context) ([]Info, error) {
	infos, err := call[[]Info](ctx, c, pathList, struct{}{})
	if err != nil {
		return nil, err
	}
	return *infos, nil
}

// Leave ends sessions, all or those that are named; with local, gates are not told.
func (c *Client) Leave(ctx context.Context, names []string, all, local bool) ([]Left, error) {
	lefts, err := call[[]Left](ctx, c, pathLeave, leaveRequest{Names: names, All: all, Local: local})
	if err != nil {
		return nil, err
	}
	return *lefts, nil
}

// Lead asks to be the one that signs the person in. It returns true at once where the caller is the one, who must call done when
// a session was put or will not be. It returns false once somebody else has brought a session, and an error where they have not.
func (c *Client) Lead(ctx context.Context, name string) (leads bool, done func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	message, err := json.Marshal(leadRequest{Name: name, PID: os.Getpid()})
	if err != nil {
		cancel()
		return false, nil, err
	}
	response, err := c.post(ctx, pathLead, message)
	if err != nil {
		cancel()
		return false, nil, err
	}
	var told leadAnswer
	if err := json.NewDecoder(io.LimitReader(response.Body, maxMessage)).Decode(&told); err != nil {
		cancel()
		return false, nil, errors.Join(fmt.Errorf("the agent's answer broke off: %w", err), response.Body.Close())
	}
	end := func() {
		cancel()
		_ = response.Body.Close() // its end is the message
	}
	if !told.Lead {
		end()
		return false, func() {}, nil
	}
	return true, end, nil
}

// call sends one message and reads the answer.
func call[T any](ctx context.Context, c *Client, path string, message any) (*T, error) {
	data, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	var answer T
	if err := c.ask(ctx, path, data, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

func (c *Client) ask(ctx context.Context, path string, message []byte, answer any) error {
	response, err := c.post(ctx, path, message)
	if err != nil {
		return err
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxMessage)).Decode(answer)
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("the agent's answer broke off: %w", err)
	}
	return nil
}

// post sends a message and returns an answer that is no failure. Where the agent is about to end, the next one is asked, once that one
// can be reached no more.
func (c *Client) post(ctx context.Context, path string, message []byte) (*http.Response, error) {
	response, err := c.postOnce(ctx, path, message)
	if err == nil || c.start == nil || !errors.Is(err, ErrNoAgent) {
		return response, err
	}
	c.http.CloseIdleConnections()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for began := time.Now(); ; {
		response, err := c.postNext(ctx, path, message)
		if !errors.Is(err, ErrNoAgent) || time.Since(began) >= startTimeout {
			return response, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// postNext asks the agent that there is now, and starts one where none is.
func (c *Client) postNext(ctx context.Context, path string, message []byte) (*http.Response, error) {
	next, err := Start(ctx, c.start)
	if err != nil {
		return nil, err
	}
	defer next.Close() // an idle connection would outlive the answer otherwise
	return next.postOnce(ctx, path, message)
}

func (c *Client) postOnce(ctx context.Context, path string, message []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+path, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%w: it does not answer: %w", ErrNoAgent, err)
	case response.StatusCode == http.StatusOK:
		return response, nil
	}
	var said failure
	err = json.NewDecoder(io.LimitReader(response.Body, maxMessage)).Decode(&said)
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil || said.Message == "" {
		return nil, fmt.Errorf("the agent does not speak this protocol (status %d): it is of another version; end it with \"kubectl ostiary logout --all\" or by its process id", response.StatusCode)
	}
	return nil, said.err()
}
