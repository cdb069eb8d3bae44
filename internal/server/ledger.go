package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/checkpoint"
	"github.com/ostiary/ostiary/internal/ledger/etcdstore"
	"github.com/ostiary/ostiary/internal/ledger/sealedstore"
	"github.com/ostiary/ostiary/internal/ledgerapi"
	"github.com/ostiary/ostiary/internal/localapi"
	"github.com/ostiary/ostiary/internal/policy"
	"github.com/ostiary/ostiary/internal/session"
	"github.com/ostiary/ostiary/internal/tlspolicy"
)

const (
	// reviewEvery is how often open streams are judged anew without a reason: credentials expire, and a ledger that is lost
	// says nothing.
	reviewEvery = 400 * time.Millisecond
	// authorizeTimeout bounds the question to the cluster who may use the ledger.
	authorizeTimeout = 10 * time.Second
	// maxHostname bounds the part of a replica's name that is for people: a DNS label.
	maxHostname = 63
	// replicaRandom is how many characters of a replica's name tell it from all others, 5 bits each.
	replicaRandom = 10
)

// keeper is the ledger with its store. A nil keeper knows no revocations.
type keeper struct {
	checked *config.CheckedLedger // what the store is reached by
	ledger  *ledger.Ledger
	store   *etcdstore.Store
	sealed  *sealedstore.Store
	logger  *slog.Logger
	book    *session.Book  // of what Ostiary issued
	api     *ledgerapi.API // nil until it is made
	replica string
	stop    func() error
}

// openLedger opens the store. It returns nil where the configuration has no ledger.
func (s *Server) openLedger(whole *config.Checked) (*keeper, error) {
	checked := whole.Ledger
	if checked == nil {
		s.logger.Warn("there is no ledger: no credential and nobody can be shut out before their time; write ledger.embedded or ledger.etcd")
		return nil, nil //nolint:nilnil // a nil keeper is the one that knows nothing
	}
	key, err := ledgerKey(checked)
	if err != nil {
		return nil, err
	}
	k := &keeper{checked: checked, logger: s.logger}
	var parts []ledger.Part
	k.book, parts = s.parts(whole)
	config := ledger.Config{
		Logger: s.logger, Changed: s.review, BestEffort: checked.BestEffort,
		Strict: strict(checked.Strict), Retention: checked.Retention, BreakGlass: checked.BreakGlass,
		Parts: parts, Removed: s.metrics.Removed,
	}
	if checked.Etcd == nil {
		if k.store, err = etcdstore.Embedded(etcdstore.EmbeddedConfig{Directory: checked.Directory, Logger: s.logger}); err != nil {
			return nil, fmt.Errorf("ledger.embedded.directory: %w", err)
		}
	} else {
		config.Replica = replicaName()
		k.replica = config.Replica
		if k.store, err = etcdstore.External(s.life, etcdstore.ExternalConfig{
			Endpoints: checked.Etcd.Endpoints, TLS: etcdTLS(checked.Etcd), Prefix: checked.Etcd.Prefix, Logger: s.logger,
		}); err != nil {
			return nil, fmt.Errorf("ledger.etcd: %w", err)
		}
	}
	config.Answer = func(question []byte) []byte { return k.api.Answer(question) } // made before Run is called
	k.sealed = sealedstore.New(k.store, key)
	if checked.Etcd == nil {
		// What is in this process answers, so that what is wrong with the key is a mistake to be told of at once.
		if err := k.sealed.Open(s.life); err != nil {
			k.store.Close()
			return nil, fmt.Errorf("ledger.keyFile: %w", err)
		}
	}
	config.Store, config.Names = k.sealed, k.sealed
	if checked.CheckpointFile != "" {
		config.Checkpoint = checkpoint.New(checked.CheckpointFile, k.sealed.LedgerID)
	}
	if k.ledger, err = ledger.New(config); err != nil {
		k.store.Close()
		return nil, err
	}
	s.lockout.Share(sharedLocks{k.ledger})
	return k, nil
}

// strict are the mechanisms whose credentials must be on record. Those of Ostiary's own are among them, always.
func strict(written map[identity.Mechanism]bool) map[identity.Mechanism]bool {
	all := map[identity.Mechanism]bool{identity.IssuedCertificate: true, identity.IssuedToken: true}
	maps.Copy(all, written)
	return all
}

// etcdTLS is how an etcd cluster is reached.
func etcdTLS(checked *config.CheckedEtcd) *tls.Config {
	return tlspolicy.Client(checked.Authorities.Pool(), "", &checked.Pair.Certificate)
}

// replicaName makes a name for this process that no other has or had: it shows the machine to people, and the rest is random.
func replicaName() string {
	host, _ := os.Hostname() // people can do without
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return -1
	}, strings.ToLower(host))
	return host[:min(len(host), maxHostname)] + "-" + strings.ToLower(rand.Text()[:replicaRandom])
}

// renew takes over certificates that have changed, and sees that a key that has changed opens the ledger at the next start.
// Nothing else of a ledger changes without a restart.
func (k *keeper) renew(ctx context.Context, checked *config.CheckedLedger) error {
	if k == nil || checked == nil {
		return nil
	}
	if checked.Key != k.checked.Key {
		key, err := sealedstore.ParseKeyFile(checked.KeyFile, []byte(checked.Key.Reveal()))
		if err == nil {
			err = k.sealed.Check(ctx, key)
		}
		if err != nil {
			return fmt.Errorf("ledger.keyFile: %w; the seed is wrapped by another key with ostiary store rewrap", err)
		}
	}
	if checked.Etcd == nil || k.checked.Etcd == nil ||
		checked.Etcd.Pair.Digest == k.checked.Etcd.Pair.Digest && checked.Etcd.Authorities.Digest == k.checked.Etcd.Authorities.Digest {
		k.checked = checked
		return nil
	}
	if err := k.store.UseTLS(etcdTLS(checked.Etcd)); err != nil { //nolint:contextcheck // connections live as long as the store
		return fmt.Errorf("ledger.etcd: %w", err)
	}
	k.checked = checked
	return nil
}

// failed waits until the store has ended for good, and says why, or until ctx ends.
func (k *keeper) failed(ctx context.Context) error {
	if k == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-k.store.Failed():
		return err
	}
}

// run follows the store until close is called.
func (k *keeper) run(life context.Context) {
	if k == nil {
		return
	}
	life, cancel := context.WithCancel(life)
	done := make(chan error, 1)
	go func() { done <- k.ledger.Run(life) }()
	k.stop = func() error {
		cancel()
		return <-done
	}
}

// close ends it: the gate judges nobody any more.
func (k *keeper) close() {
	if k == nil {
		return
	}
	if k.stop != nil {
		_ = k.stop()
	}
	k.store.Close()
}

// judge is what policy asks; nil where there is no ledger.
func (k *keeper) judge() policy.Ledger {
	if k == nil {
		return nil
	}
	return k.ledger
}

// witness is who sees what clusters issue; nil where there is no ledger.
func (k *keeper) witness(checked *config.CheckedLedger) *witness {
	if k == nil {
		return nil
	}
	return &witness{ledger: k.ledger, logger: k.logger, strict: checked.Strict[identity.TokenRequest], signed: checked.CertificateSigningRequests}
}

// recorder is the same, for the gate.
func (k *keeper) recorder(checked *config.CheckedLedger) gateway.Recorder {
	if k == nil {
		return nil
	}
	return k.witness(checked)
}

// hide makes names that last and tell nothing; nil where there is no ledger.
func (k *keeper) hide() func(parts ...string) string {
	if k == nil {
		return nil
	}
	return k.sealed.Hide
}

// ready returns an error while nobody can be judged.
func (k *keeper) ready() error {
	if k == nil {
		return nil
	}
	err := k.ledger.Ready()
	if err == nil {
		return nil
	}
	return errors.Join(err, k.store.Ready())
}

// review judges open streams anew, and counts those that fell by revocation.
func (s *Server) review() map[string]int {
	fell := make(map[string]int)
	s.gate.Review(s.life, func(cause error) {
		if refusal, ok := errors.AsType[*ledger.Refusal](cause); ok && refusal.Revocation != "" {
			fell[refusal.Revocation]++
		}
	})
	return fell
}

// reviews judges open streams again and again until ctx ends.
func (s *Server) reviewing(ctx context.Context) {
	ticker := time.NewTicker(reviewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.review()
		}
	}
}

// locals is the gate's own API, of several parts.
type locals []gateway.Local

// ServeLocal implements gateway.Local.
func (l locals) ServeLocal(w http.ResponseWriter, r *http.Request, caller gateway.Caller) bool {
	for _, local := range l {
		if local.ServeLocal(w, r, caller) {
			return true
		}
	}
	return false
}

// ledgerAPI answers for the ledger. The gate is made after it.
func (s *Server) ledgerAPI() (gateway.Local, error) {
	var err error
	s.keeper.api, err = ledgerapi.New(ledgerapi.Config{
		Ledger: s.keeper.ledger, Authorizer: hub{s}, Replica: s.keeper.replica,
		Streams: func(matches ledgerapi.Matches) []gateway.StreamInfo { return s.gate.Streams(matches) },
		Hub:     func() string { return s.current.Load().clusters[0].gateway.Name },
	})
	return s.keeper.api, err
}

// hub asks the first cluster who may use the ledger.
type hub struct{ *Server }

// errNoAccount: the first cluster cannot be asked.
var errNoAccount = errors.New("the gate has no account on the first cluster that could ask who may use the ledger; write clusters[0].access")

// Authorize implements localapi.Authorizer.
func (h hub) Authorize(ctx context.Context, user *identity.Identity, access localapi.Access) (bool, string, error) {
	cluster := h.current.Load().clusters[0]
	reviewer := cluster.access
	if reviewer == nil {
		h.logger.Error("the ledger's API cannot say who may use it", slog.String("cause", errNoAccount.Error()))
		return false, "", errNoAccount
	}
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: adminapi.Group, Version: adminapi.Version, Verb: access.Verb,
			Resource: access.Resource, Subresource: access.Subresource, Name: access.Name,
		},
	}
	if len(user.Extra) > 0 {
		spec.Extra = make(map[string]authorizationv1.ExtraValue, len(user.Extra))
		for key, values := range user.Extra {
			spec.Extra[key] = values
		}
	}
	ctx, cancel := context.WithTimeout(ctx, authorizeTimeout)
	defer cancel()
	allowed, reason, err := reviewer.Reviewer().Review(ctx, spec)
	if err != nil {
		h.logger.Error("the ledger's API cannot say who may use it", slog.String("cause", err.Error()))
	}
	return allowed, reason, err
}
