// Package issueapi answers in Ostiary's own API group for what is issued to others than those who sign in: certificates for machines,
// bootstrap tokens, static tokens. It also says to every caller who they are. Who may issue is settled by localapi: the name that is
// asked for is the name of the resource, so that a role can be confined to some.
package issueapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/session"
)

const (
	// actTimeout bounds one issue, also where its caller went away.
	actTimeout = 20 * time.Second
	// maxGroups bounds the groups that a credential is issued with.
	maxGroups = 64
	// maxName bounds a user or group name.
	maxName = 256
)

// Settings change with the configuration. They are immutable.
type Settings struct {
	// Longest is the longest lifetime of a certificate, and Usual that of one for which none was asked.
	Longest, Usual time.Duration
	// LongestToken is the longest lifetime of a static token, and Grace how long one lives on that was rotated.
	LongestToken, Grace time.Duration
	// MayCarry reports whether a name that starts with "system:" may be given to a machine.
	MayCarry func(name string) bool
}

// Bootstrap makes a bootstrap token of the cluster's, and returns it once. record is called with its entry before it is written
// there; an error of it means that nothing is.
type Bootstrap interface {
	Make(ctx context.Context, asked *adminapi.IssueBootstrapToken, expires time.Time, record func(*ledger.Entry) error) (id, token string, err error)
}

// Config is what an API is made of. Registrar and Settings are nil where nothing is issued; all else is required.
type Config struct {
	Registrar  *registrar.Registrar
	Book       *session.Book
	Record     func(ctx context.Context, entries ...*ledger.Entry) error
	Bootstrap  Bootstrap
	Settings   func() *Settings
	Authorizer localapi.Authorizer
	Hub        func() string
	Logger     *slog.Logger
}

// API serves the resources. It is safe for concurrent use.
type API struct {
	config Config
	guard  localapi.Guard
}

// New returns an API.
func New(config Config) (*API, error) {
	if config.Authorizer == nil || config.Hub == nil || config.Logger == nil ||
		config.Registrar != nil && (config.Book == nil || config.Settings == nil || config.Record == nil || config.Bootstrap == nil) {
		return nil, errors.New("issueapi: the configuration is not complete")
	}
	return &API{config, localapi.Guard{Authorizer: config.Authorizer, Hub: config.Hub}}, nil
}

var _ gateway.Local = (*API)(nil)

// ServeLocal implements gateway.Local.
func (a *API) ServeLocal(w http.ResponseWriter, r *http.Request, caller gateway.Caller) bool {
	x := &localapi.Exchange{W: w, R: r, Caller: caller}
	switch caller.Path {
	case adminapi.WhoAmIPath:
		a.whoAmI(x)
	case adminapi.IssuePath:
		a.issue(x)
	case adminapi.RotatePath:
		a.rotate(x)
	default:
		return false
	}
	return true
}

// whoAmI says to a caller who they are. Everybody may know that of themselves.
func (a *API) whoAmI(x *localapi.Exchange) {
	switch {
	case x.R.Method != http.MethodGet:
		x.Fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "this path takes GET")
		return
	case x.Caller.Identity.IsAnonymous() || x.Caller.Credential == nil:
		x.Fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	}
	who, cred := x.Caller.Identity, x.Caller.Credential
	answer := adminapi.WhoAmI{
		TypeMeta: adminapi.TypeOf(adminapi.WhoAmIKind), Username: who.Username, UID: who.UID, Groups: who.Groups, Extra: who.Extra,
		Mechanism: string(cred.Mechanism), CredentialID: cred.ID.String(), ExpiresAt: cred.NotAfter, Cluster: x.Caller.Cluster.Name,
	}
	if _, owner := a.issued(cred); owner != nil && owner.Kind != session.Machine {
		answer.Session = owner.ID
	}
	x.Answer(http.StatusOK, answer)
}

// issued is the record of a credential that Ostiary issued, with its session; nil for all others.
func (a *API) issued(cred *authn.Credential) (*session.Credential, *session.Session) {
	if a.config.Book == nil || cred.Mechanism != identity.IssuedCertificate && cred.Mechanism != identity.IssuedToken {
		return nil, nil
	}
	id, _ := issuer.ParseID(strings.TrimPrefix(cred.ID.Value, issuer.CredentialPrefix))
	found, owner, known := a.config.Book.Find(id)
	if !known {
		return nil, nil
	}
	return found, owner
}

// enabled answers, and returns false, where nothing is issued.
func (a *API) enabled(x *localapi.Exchange) bool {
	switch {
	case a.config.Registrar == nil:
		x.Fail(http.StatusNotFound, metav1.StatusReasonNotFound, "nothing is issued here: the gate's configuration has no issuer")
	case x.R.Method != http.MethodPost:
		x.Fail(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "this path takes POST")
	default:
		return true
	}
	return false
}

// failed answers with the outside of an error of issuing.
func (a *API) failed(x *localapi.Exchange, err error) {
	switch {
	case errors.Is(err, errOrder), errors.Is(err, issuer.ErrKey), errors.Is(err, registrar.ErrForeignKey), errors.Is(err, registrar.ErrShut), errors.Is(err, ledger.ErrEntry):
		x.Fail(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, err.Error())
	case errors.Is(err, registrar.ErrRotated):
		a.config.Logger.Warn("a token that was rotated is to be rotated again: its owner lost the answer, or somebody else has it", slog.String("credential", x.Caller.Credential.ID.String()))
		x.Fail(http.StatusConflict, metav1.StatusReasonConflict, err.Error())
	case errors.Is(err, ledger.ErrFull):
		x.Fail(http.StatusInsufficientStorage, metav1.StatusReasonInternalError, "the ledger's store is full; free space or raise its quota")
	default:
		// Not 503: a client would try again by itself, and what was asked for may have been issued.
		a.config.Logger.Error("a credential could not be issued", slog.String("cause", err.Error()))
		x.Fail(http.StatusInternalServerError, metav1.StatusReasonInternalError, "it could not be issued; the gate's log says why")
	}
}

// actorOf is the caller, for the record.
func actorOf(x *localapi.Exchange) ledger.Actor {
	actor := ledger.Actor{Username: x.Caller.Identity.Username, Source: x.Caller.Source}
	if cred := x.Caller.Credential; cred != nil {
		actor.Mechanism, actor.CredentialID = string(cred.Mechanism), cred.ID.String()
	}
	return actor
}
