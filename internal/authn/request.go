package authn

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ostiary/ostiary/internal/secret"
)

// Request is what mechanisms may see of one request, whichever way it came in: through the gate, or as a TokenReview
// (then only Bearer, Source and Audiences are set, TR-2).
type Request struct {
	// Certificates are the client's, the leaf first; none if it showed none.
	Certificates []*x509.Certificate
	// Relayed says that a named balancer told of Certificates: they are not those of the connection, which many clients
	// share.
	Relayed bool
	// Conn carries what mechanisms remember for the life of the client's connection; nil where there is none to
	// remember on.
	Conn *Conn
	// Header holds the request's headers as they arrived. Mechanisms read them only; stripping is the gateway's work.
	Header http.Header
	// Asserted holds the identity headers that were taken off the request at the door, under the names that they came
	// with; nil when there were none. The authenticating-proxy mechanism alone reads them.
	Asserted http.Header
	// Path is the decoded URL path as the cluster will see it.
	Path string
	// Source is the client's address.
	Source netip.Addr
	// Cluster names the cluster that the request is for.
	Cluster string
	// Audiences are the target audiences (AUD-1). Empty means that none were asked for and none are configured.
	Audiences []string
	// Open says that the request was let in before and is under way as a stream; it is judged anew.
	Open bool
	// Accepted is set by an Admitter that lets a credential in otherwise than usual, and says how, for the record.
	Accepted Reason
	// Stranger says that nothing good is known of the token or of where it comes from: where room is short, it is others'.
	Stranger bool
	// Now is the time of the decision; every comparison of one decision uses the same one.
	Now time.Time
}

// Mechanism proves an identity from a whole request: a proxy's headers, a client certificate, anonymous access.
type Mechanism interface {
	Authenticate(ctx context.Context, r *Request) Answer
}

// TokenMechanism proves an identity from a bearer token, wherever the token was carried.
type TokenMechanism interface {
	AuthenticateToken(ctx context.Context, r *Request, token secret.String) Answer
}

// TokenReadmitter is a TokenMechanism that can judge a credential anew which it has accepted, without its token. An error ends
// what was let in with it.
type TokenReadmitter interface {
	Readmit(ctx context.Context, r *Request, cred *Credential) error
}

// Conn is the memory of one client connection. The zero value is ready for use; it is safe for concurrent use, as
// HTTP/2 runs many requests on one connection.
type Conn struct{ verdicts [slots]atomic.Pointer[any] }

// Slot is a place in a Conn.
type Slot uint8

// Each mechanism that judges the connection's certificate has a place of its own.
const (
	CertificateSlot Slot = iota // as a client's
	IssuedSlot                  // as one that Ostiary issued
	ProxySlot                   // as an authenticating proxy's
	CallerSlot                  // as that of an API server that asks
	slots
)

// Verdict returns what SetVerdict stored, or nil.
func (c *Conn) Verdict(slot Slot) any {
	if c == nil {
		return nil
	}
	if stored := c.verdicts[slot].Load(); stored != nil {
		return *stored
	}
	return nil
}

// SetVerdict remembers a mechanism's verdict for this connection. On a nil Conn it does nothing.
func (c *Conn) SetVerdict(slot Slot, verdict any) {
	if c != nil {
		c.verdicts[slot].Store(&verdict)
	}
}

// connKey is the context key of a connection's memory.
type connKey struct{}

// ConnContext gives each client connection its memory. It is for http.Server's field of that name.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, new(Conn))
}

// ConnFrom returns the memory of the request's connection, or nil.
func ConnFrom(ctx context.Context) *Conn {
	conn, _ := ctx.Value(connKey{}).(*Conn)
	return conn
}
