package inventory

import (
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/power"
)

// Kind is what a line stands for.
type Kind string

// The kinds.
const (
	// KindCredential is one credential.
	KindCredential Kind = "credential"
	// KindPerson is a user that was seen and whose single credentials cannot be told apart, or change with every sign-in.
	KindPerson Kind = "person"
	// KindIssuer is somebody whom the cluster believes: an OpenID Connect provider, a webhook, proxies. Whom they vouch for
	// is not known to the cluster.
	KindIssuer Kind = "issuer"
	// KindKey is a private key with which credentials can be made that no source lists.
	KindKey Kind = "key"
)

// State is how a credential is. The zero value is not valid.
type State string

// The states. Where several hold, the one that comes first here is told.
const (
	// Revoked says that the gate's ledger shuts it out. The cluster behind does not.
	Revoked State = "revoked"
	// Invalidated says that Kubernetes refuses it already.
	Invalidated State = "invalidated"
	// Expired says that its time is over.
	Expired State = "expired"
	// Leaver says that the roster has its owner as gone. It works.
	Leaver State = "leaver"
	// Orphan says that what it is for does not exist any more: the account, the node, the Secret.
	Orphan State = "orphan"
	// Unrecorded says that it was used, and that nothing says who issued it.
	Unrecorded State = "unrecorded"
	// Dormant says that it was not used for long.
	Dormant State = "dormant"
	// Active says that it was used.
	Active State = "active"
	// Unseen says that nothing tells of its use in the time that there is a record of, or that there is no record.
	Unseen State = "unseen"
)

// Works reports whether it may let somebody in.
func (s State) Works() bool { return s != Revoked && s != Invalidated && s != Expired }

// Confidence is how it is known.
type Confidence string

// The levels of confidence.
const (
	// Listed says that a source that holds all of its kind lists it.
	Listed Confidence = "listed"
	// Observed says that it was used, or that its issue was recorded.
	Observed Confidence = "observed"
	// Inferred says that something of it, most often the mechanism, is the best explanation of what was seen.
	Inferred Confidence = "inferred"
)

// Window is the time that a record tells of; zero for none.
type Window struct {
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// maxListed bounds lists within a line: from where, readers, places.
const maxListed = 20

// Credential is one line of the inventory. Times are UTC and zero where they are not known.
type Credential struct {
	// ID is the same in every run. It is spelled as Kubernetes and the gate do where they have one.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// GateID is what the gate's ledger calls it, where that is another name.
	GateID string `json:"gateID,omitempty"`
	// Mechanism is spelled as in the gate's configuration; empty where several are possible, which MayBe lists then.
	Mechanism string   `json:"mechanism,omitempty"`
	MayBe     []string `json:"mayBe,omitempty"`
	// Issuer is who made it: a CA's name, a provider's URL, "cluster", a file.
	Issuer   string   `json:"issuer,omitempty"`
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	// Owner is the person, account, node or component that it belongs to; OwnerBy says how that is known.
	Owner   string      `json:"owner,omitempty"`
	OwnerBy string      `json:"ownerBy,omitempty"`
	Power   power.Power `json:"power"`
	Issued  time.Time   `json:"issued,omitzero"`
	// IssuedBy is who asked for it, ApprovedBy who approved, MadeWith the credential that asked. Chain follows that back.
	IssuedBy   string   `json:"issuedBy,omitempty"`
	ApprovedBy string   `json:"approvedBy,omitempty"`
	MadeWith   string   `json:"madeWith,omitempty"`
	Chain      []string `json:"chain,omitempty"`
	// Expires is when it ends by itself; Endless says that it never does.
	Expires time.Time `json:"expires,omitzero"`
	Endless bool      `json:"endless,omitempty"`
	// FirstSeen and LastUsed are of the record of use. Kubernetes itself keeps days for token Secrets: ByDay says that
	// LastUsed is one.
	FirstSeen time.Time `json:"firstSeen,omitzero"`
	LastUsed  time.Time `json:"lastUsed,omitzero"`
	ByDay     bool      `json:"lastUsedByDay,omitempty"`
	Uses      int       `json:"uses,omitempty"`
	// From are addresses, Agents programs; the first of each.
	From   []string `json:"from,omitempty"`
	Agents []string `json:"agents,omitempty"`
	// Stored is where it is kept, as far as that was found.
	Stored []string `json:"stored,omitempty"`
	// Readers may read it where it is kept, by RBAC; ReadersCount is how many there are.
	Readers      []string   `json:"readers,omitempty"`
	ReadersCount int        `json:"readersCount,omitempty"`
	State        State      `json:"state"`
	Note         string     `json:"note,omitempty"`
	Confidence   Confidence `json:"confidence"`
	// Sources are those that tell of it.
	Sources []string `json:"sources"`
	// Window is the time in which use would have been seen.
	Window Window `json:"window,omitzero"`

	namespace, secret string // of the Secret that holds it
	account           string // namespace/name of the ServiceAccount that it is for
	caName            string // the issuer's distinguished name, of a certificate
	recorded          bool   // something says that it was issued
	orphan            string // what is gone
	revoked, invalid  bool
}

// MechanismText is the mechanism, or those that it may be.
func (c *Credential) MechanismText() string {
	switch {
	case c.Mechanism != "":
		return c.Mechanism
	case len(c.MayBe) > 0:
		return strings.Join(c.MayBe, " or ")
	default:
		return "unknown"
	}
}
