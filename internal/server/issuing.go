package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/backchannel"
	"github.com/ostiary/ostiary/internal/certchain"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/gateway"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/registrar"
	"github.com/ostiary/ostiary/internal/session"
	"github.com/ostiary/ostiary/internal/signinapi"
)

// forgedAgain is how often it is said that certificates are forged, beside the first time.
const forgedAgain = time.Hour

// bureau is Ostiary's own issuer: the book of what it issued, and what issues. A nil bureau issues nothing.
type bureau struct {
	book         *session.Book
	authority    *issuer.Authority
	registrar    *registrar.Registrar
	certificates *issued.Certificates
	tokens       *issued.Tokens
	root         *x509.Certificate
	alarms       forgeries
}

// parts are what the ledger keeps for others: locks, and what is in a book of sessions and credentials, which is told of them also where nothing is issued any more: what the store holds must be understood.
func (s *Server) parts(checked *config.Checked) (*session.Book, []ledger.Part) {
	var root *x509.Certificate
	if checked.Issuer != nil {
		root = checked.Issuer.Root.Certificate
	}
	book := session.NewBook(root)
	return book, []ledger.Part{
		{Prefix: ledger.LockPrefix, Take: s.lockout.Take, Names: s.lockout.Names},
		{Prefix: ledger.SessionPrefix, Take: book.TakeSession, Names: book.SessionNames},
		{Prefix: ledger.IssuedPrefix, Take: book.TakeCredential, Names: book.CredentialNames},
		{Prefix: ledger.IssuerPrefix, Take: book.TakeIssuer, Names: book.IssuerNames},
	}
}

// newBureau makes the issuer; nil where the configuration has none.
func (s *Server) newBureau(checked *config.CheckedIssuer) (*bureau, error) {
	if checked == nil {
		return nil, nil //nolint:nilnil // a nil bureau is the one that issues nothing
	}
	b := &bureau{book: s.keeper.book, root: checked.Root.Certificate, alarms: forgeries{logger: s.logger, counted: s.metrics.Forged, last: make(map[string]time.Time)}}
	kept := s.keeper.ledger
	var err error
	if b.authority, err = issuer.New(issuer.Config{
		Root: checked.Root, Replica: s.keeper.replica, Logger: s.logger,
		Publish: func(ctx context.Context, issuing *x509.Certificate) error {
			return registrar.PublishIssuer(ctx, kept, issuing)
		},
		Dead: func(issuing *x509.Certificate) bool { return registrar.IssuerDead(kept, issuing, b.root) },
	}); err != nil {
		return nil, err
	}
	if b.registrar, err = registrar.New(registrar.Config{
		Ledger: kept, Book: b.book, Authority: b.authority, Logger: s.logger, OwnKey: s.ownKey, NewToken: s.keeper.newToken,
	}); err != nil {
		return nil, err
	}
	accepts := issued.Config{Book: b.book, Forged: b.alarms.note}
	if s.keeper.replica != "" {
		accepts.CatchUp = func(ctx context.Context, id issuer.ID) (bool, error) {
			return kept.CatchUp(ctx, ledger.IssuedPrefix, id.String())
		}
	}
	b.accept(accepts, s.keeper.sealed.Hide)
	return b, nil
}

// NewIssuerRoot makes the root of an issuer in a new file, and returns what revocations name it by.
func NewIssuerRoot(path string) (name string, err error) {
	root, err := issuer.NewRootFile(path, time.Now())
	if err != nil {
		return "", err
	}
	return certchain.KeyDigest(root), nil
}

// run issues until life ends.
func (b *bureau) run(life context.Context) {
	if b == nil {
		return
	}
	go func() { _ = b.authority.Run(life) }()
	go b.registrar.Tidy(life)
}

// ready returns an error before anything can be issued.
func (b *bureau) ready() error {
	if b == nil {
		return nil
	}
	return b.authority.Ready()
}

// ownKey reports whether a key is one of the gate's own.
func (s *Server) ownKey(key session.Digest) bool {
	current := s.current.Load()
	if current == nil {
		return true
	}
	own := []*x509.Certificate{current.checked.Listen.TLS.Certificate.Leaf}
	if current.checked.Issuer != nil {
		own = append(own, current.checked.Issuer.Root.Certificate)
	}
	for i := range current.checked.Clusters {
		if pair := current.checked.Clusters[i].RequestHeader; pair != nil {
			own = append(own, pair.Certificate.Leaf)
		}
	}
	for _, certificate := range own {
		if certificate != nil && sha256.Sum256(certificate.RawSubjectPublicKeyInfo) == key {
			return true
		}
	}
	return false
}

// front answers who comes for a credential; nil where nobody can sign in.
func (s *Server) front() (gateway.Front, error) {
	if s.bureau == nil {
		return nil, nil //nolint:nilnil // the gate has no front then
	}
	return signinapi.New(signinapi.Config{
		Registrar: s.bureau.registrar, Book: s.bureau.book, Certificates: s.bureau.certificates, Tokens: s.bureau.tokens, Logger: s.logger,
		Authorizer: hub{s}, Shut: s.keeper.ledger.Falls,
		Settings: func() *signinapi.Settings { return s.current.Load().signIn },
	})
}

// signInSettings are what the configuration says about signing in.
func signInSettings(checked *config.Checked, state *gateway.State, guard authn.Guard) *signinapi.Settings {
	written := checked.SignIn
	if written == nil {
		return nil
	}
	settings := &signinapi.Settings{
		Guard:          guard,
		PeopleLifetime: written.PeopleLifetime, PeopleSession: written.PeopleSession, PipelineLifetime: written.PipelineLifetime,
	}
	for _, cluster := range state.Clusters {
		if chain, ok := cluster.Authenticator.(signinapi.Chain); ok {
			settings.Clusters = append(settings.Clusters, signinapi.Cluster{Name: cluster.Name, Audiences: cluster.Audiences, Chain: chain})
		}
	}
	for i := range written.Providers {
		one := &written.Providers[i]
		provider := signinapi.Provider{SignInProvider: adminapi.SignInProvider{
			Name: one.Name, Issuer: one.Issuer, ClientID: one.ClientID, Scopes: one.Scopes, Flows: one.Flows,
		}}
		var roots *x509.CertPool
		if one.Authorities != nil {
			provider.CertificateAuthorityData, roots = one.Authorities.PEM(), one.Authorities.Pool()
		}
		provider.Logout = backchannel.New(one.Issuer, one.ClientID, documents(roots))
		settings.Providers = append(settings.Providers, provider)
	}
	return settings
}

// issuerChanged reports whether a change of the configuration is about the issuer, which is fixed when the server starts.
func issuerChanged(before, after *config.Checked) bool {
	a, b := before.Configuration(), after.Configuration()
	if !reflect.DeepEqual(a.Issuer, b.Issuer) {
		return true
	}
	return before.Issuer != nil && before.Issuer.Digest != after.Issuer.Digest
}

// forgeries says that certificates are forged: once for each issuing key and hour, however many come.
type forgeries struct {
	logger  *slog.Logger
	counted func()

	mu    sync.Mutex
	last  map[string]time.Time // when it was said, by issuing key
	total uint64
}

// note counts one.
func (f *forgeries) note(issuing *session.Issuing, leaf *x509.Certificate) {
	f.counted()
	f.mu.Lock()
	f.total++
	said, now := f.last[issuing.ID], time.Now()
	due := now.Sub(said) > forgedAgain
	if due {
		f.last[issuing.ID] = now
	}
	total := f.total
	f.mu.Unlock()
	if due {
		f.logger.Error("alarm: a certificate was refused that a real issuing key signed and nobody put on record: the key is in other hands; "+
			"shut it out with kubectl ostiary revoke --issuer",
			slog.String("issuer", issuing.Chain[0]), slog.String("serial", leaf.SerialNumber.Text(16)), slog.Uint64("forged_so_far", total)) //nolint:mnd // hex
	}
}

// notice is what people should know of it; empty where nothing was forged.
func (b *bureau) notice() string {
	if b == nil {
		return ""
	}
	b.alarms.mu.Lock()
	defer b.alarms.mu.Unlock()
	for id := range b.alarms.last {
		name := id
		if issuing := b.book.Issuer(id); issuing != nil {
			name = issuing.Chain[0]
		}
		return "certificates were forged under the issuing key " + name + ": shut it out with kubectl ostiary revoke --issuer"
	}
	return ""
}
