package inventory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/power"
)

// DefaultDormant is after how long without use a credential is dormant: a quarter, as access reviews have it.
const DefaultDormant = 90 * 24 * time.Hour

// Input is what an inventory is made of.
type Input struct {
	// Facts are what was gathered.
	Facts *facts.Facts
	// Ledger is what the gate has recorded; nil where there is no gate or it was not asked.
	Ledger *Ledger
	// Dormant is after how long without use a credential is dormant; 0 means DefaultDormant.
	Dormant time.Duration
}

// Inventory is every credential that is known. It does not change once it is built.
type Inventory struct {
	// At is the time of the facts.
	At time.Time
	// Target is the cluster's address, or "files".
	Target string
	// Credentials are all, the most powerful first.
	Credentials []*Credential
	// Unmatched are subjects of bindings for whom no credential is known and who were not seen: whoever gets a credential
	// for one of these names has what is bound to it.
	Unmatched []Unmatched
	// Dangling are bindings that name a role that is not there.
	Dangling []string
	// Lower says why powers are lower bounds; empty where RBAC alone decides.
	Lower string

	policy *power.Policy // nil where RBAC could not be read
	facts  *facts.Facts
	ledger *Ledger
}

// Policy answers what subjects may do; nil where not all of RBAC was read.
func (inv *Inventory) Policy() *power.Policy { return inv.policy }

// Caller is who gathered the facts; empty where no API server said so.
func (inv *Inventory) Caller() string { return inv.facts.Cluster.Caller.Username }

// Unmatched is a subject of a binding that nobody is known to be.
type Unmatched struct {
	// Subject is "User x" or "Group y".
	Subject string      `json:"subject"`
	Power   power.Power `json:"power"`
}

// builder gathers the lines.
type builder struct {
	*Inventory

	dormant time.Duration
	usage   *facts.Usage
	byID    map[string]*Credential
	people  map[string]*Credential
	powers  map[string]power.Power
	lists   map[string][]string
	static  map[string]string // lines of token files by the ids that a gate has for them
	chain   *chains
	// tokenIssuer is the URL in the tokens of ServiceAccounts; empty where it is not known.
	tokenIssuer string
}

// Build makes the inventory.
func Build(input *Input) *Inventory {
	f := input.Facts
	b := &builder{
		Inventory: &Inventory{At: f.CollectedAt, Target: cmp.Or(f.Cluster.Server, "files"), facts: f, ledger: input.Ledger},
		dormant:   input.Dormant, usage: f.Usage, byID: map[string]*Credential{}, people: map[string]*Credential{}, powers: map[string]power.Power{}, static: map[string]string{},
		lists: map[string][]string{},
	}
	if b.dormant == 0 {
		b.dormant = DefaultDormant
	}
	if b.usage == nil {
		b.usage = &facts.Usage{}
	}
	b.chain = newChains(b.usage)
	b.policy = newPolicy(f)
	for i := range f.APIServers {
		b.tokenIssuer = f.APIServers[i].Flags.Text("service-account-issuer", b.tokenIssuer)
	}
	b.Lower = otherAuthorizers(f)

	b.certificates()
	b.keys()
	b.staticTokens()
	b.bootstrapTokens()
	b.tokenSecrets()
	b.requestedTokens()
	b.issuers()
	b.mapped()
	b.stored()
	b.observed() // after all that is listed, so that use finds what it is of
	b.recorded()

	owners := newOwners(f)
	for _, c := range b.Credentials {
		owners.assign(c)
		b.finish(c)
	}
	b.unmatched()
	if b.policy != nil {
		b.Dangling = slices.Sorted(slices.Values(b.policy.Dangling()))
	}
	slices.SortStableFunc(b.Credentials, func(x, y *Credential) int {
		return cmp.Or(
			-cmp.Compare(x.Power.Level, y.Power.Level), cmp.Compare(x.MechanismText(), y.MechanismText()),
			cmp.Compare(x.Username, y.Username), cmp.Compare(x.ID, y.ID),
		)
	})
	return b.Inventory
}

// newPolicy is nil where not all of RBAC was read: half of it would say "none" of somebody with everything.
func newPolicy(f *facts.Facts) *power.Policy {
	if !f.Knows(facts.SourceRBAC) {
		return nil
	}
	objects := power.Objects{
		ClusterRoles: f.ClusterRoles, ClusterRoleBindings: f.ClusterRoleBindings, Roles: f.Roles, RoleBindings: f.RoleBindings,
		Accounts: make([]power.Account, len(f.ServiceAccounts)), TokenSecrets: make([]power.TokenSecret, len(f.TokenSecrets)),
	}
	for i := range f.ServiceAccounts {
		objects.Accounts[i] = power.Account{Namespace: f.ServiceAccounts[i].Namespace, Name: f.ServiceAccounts[i].Name}
	}
	for i := range f.TokenSecrets {
		one := &f.TokenSecrets[i]
		objects.TokenSecrets[i] = power.TokenSecret{Namespace: one.Namespace, Name: one.Name, Account: one.ServiceAccount}
	}
	return power.New(&objects)
}

// otherAuthorizers says which authorizers beside RBAC and Node may allow more.
func otherAuthorizers(f *facts.Facts) string {
	if len(f.APIServers) == 0 {
		return "the API server's authorizers are not known; a webhook or ABAC may allow more"
	}
	for i := range f.APIServers {
		modes := f.APIServers[i].AuthorizationModes()
		if modes == nil {
			return "--authorization-config names a file that is not read here; it may allow more"
		}
		for _, mode := range modes {
			if mode != "RBAC" && mode != "Node" {
				return "authorizer " + mode + " may allow more"
			}
		}
	}
	return ""
}

// add adds a line, or gives the one that has its id.
func (b *builder) add(c Credential, source string) *Credential {
	known := b.byID[c.ID]
	if known == nil {
		known = &c
		b.byID[c.ID] = known
		b.Credentials = append(b.Credentials, known)
	} else {
		known.fill(&c)
	}
	known.Sources = listed(known.Sources, source)
	return known
}

// fill takes over what another source knows and this one does not.
func (c *Credential) fill(from *Credential) {
	text := func(into *string, from string) {
		if *into == "" {
			*into = from
		}
	}
	text(&c.Mechanism, from.Mechanism)
	text(&c.Issuer, from.Issuer)
	text(&c.Username, from.Username)
	text(&c.IssuedBy, from.IssuedBy)
	text(&c.ApprovedBy, from.ApprovedBy)
	text(&c.MadeWith, from.MadeWith)
	text(&c.caName, from.caName)
	text(&c.account, from.account)
	if len(c.Groups) == 0 {
		c.Groups = from.Groups
	}
	if c.Issued.IsZero() {
		c.Issued = from.Issued
	}
	if c.Expires.IsZero() {
		c.Expires = from.Expires
	}
	c.recorded = c.recorded || from.recorded
	for _, place := range from.Stored {
		c.Stored = listed(c.Stored, place)
	}
}

// listed appends what is not in a short list, up to its bound.
func listed(list []string, value string) []string {
	if value == "" || len(list) >= maxListed || slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}

// powerOf computes a subject's power once.
func (b *builder) powerOf(user string, groups []string) power.Power {
	if slices.Contains(groups, power.MastersGroup) {
		return power.OfMasters()
	}
	if b.policy == nil {
		return power.Power{}
	}
	key := user + "\x00" + strings.Join(groups, "\x00")
	known, ok := b.powers[key]
	if !ok {
		known = b.policy.Of(power.With(user, groups...))
		b.powers[key] = known
	}
	return known
}

// unmatched lists bound users and groups for whom there is no line.
func (b *builder) unmatched() {
	if b.policy == nil {
		return
	}
	have := map[string]bool{}
	for _, c := range b.Credentials {
		have["User "+c.Username] = true
		for _, group := range c.Groups {
			have["Group "+group] = true
		}
	}
	for _, subject := range b.policy.Subjects() {
		kind, name, _ := strings.Cut(subject, " ")
		if have[subject] || kind == "ServiceAccount" || strings.HasPrefix(name, identity.ServiceAccountPrefix) || builtIn(subject) {
			continue
		}
		one := Unmatched{Subject: subject}
		if kind == "User" {
			one.Power = b.powerOf(name, nil)
		} else {
			one.Power = b.powerOf("", []string{name})
		}
		b.Unmatched = append(b.Unmatched, one)
	}
	slices.SortStableFunc(b.Unmatched, func(x, y Unmatched) int {
		return cmp.Or(-cmp.Compare(x.Power.Level, y.Power.Level), cmp.Compare(x.Subject, y.Subject))
	})
}

// builtIn reports whether a subject is one to whom every cluster binds something.
func builtIn(subject string) bool {
	_, name, _ := strings.Cut(subject, " ")
	switch name {
	case identity.GroupAuthenticated, identity.GroupUnauthenticated, identity.GroupServiceAccounts, power.MastersGroup,
		"system:nodes", "system:monitoring", identity.GroupBootstrappers, "system:bootstrappers:kubeadm:default-node-token",
		identity.Anonymous, "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy":
		return true
	default:
		return strings.HasPrefix(name, identity.GroupServiceAccounts+":")
	}
}
