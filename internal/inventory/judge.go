package inventory

import (
	"slices"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/identity"
)

// finish works out what follows from all that is known of a line.
func (b *builder) finish(c *Credential) {
	if len(c.Power.Reasons) == 0 && c.Kind != KindIssuer || c.ID == "ANONYMOUS" {
		c.Power = b.powerOf(c.Username, c.Groups)
	}
	c.Chain = b.chain.of(c.ID)
	if c.Mechanism == string(identity.TokenRequest) && c.Issuer == clusterIssuer && b.tokenIssuer != "" {
		c.Issuer = b.tokenIssuer
	}
	if b.facts.Usage != nil {
		c.Window = Window{b.facts.Usage.From, b.facts.Usage.Until}
	}
	if c.secret != "" && b.policy != nil {
		readers := b.policy.SecretReaders(c.namespace, c.secret)
		c.ReadersCount = len(readers)
		c.Readers = b.oneCopy(readers[:min(len(readers), maxListed)])
	}
	c.State = b.state(c)
}

// state is the first that holds, in the order of the constants.
func (b *builder) state(c *Credential) State {
	switch {
	case c.revoked:
		return Revoked
	case c.invalid:
		if c.orphan != "" {
			c.note(c.orphan + " is gone")
		}
		return Invalidated
	case !c.Expires.IsZero() && !c.Expires.After(b.At):
		return Expired
	case b.hasLeft(c.Username):
		return Leaver
	case c.orphan != "":
		c.note(c.orphan + " is gone")
		return Orphan
	case !c.LastUsed.IsZero() && b.isUnrecorded(c):
		return Unrecorded
	case c.LastUsed.IsZero():
		if b.usedWouldShow(c) {
			return Dormant
		}
		return Unseen
	case b.since(c.LastUsed) > b.dormant:
		return Dormant
	default:
		return Active
	}
}

func (c *Credential) note(text string) {
	if c.Note != "" {
		text = c.Note + "; " + text
	}
	c.Note = text
}

// lead is how long a record must have run before the first use of a token for its issue to be in it: what kubelets ask for,
// and a little more.
const lead = 65 * time.Minute

// isUnrecorded reports whether something was used that nobody is known to have issued. Only kinds whose issue is recorded
// somewhere can be.
func (b *builder) isUnrecorded(c *Credential) bool {
	if c.recorded || c.Kind != KindCredential {
		return false
	}
	switch identity.Mechanism(c.Mechanism) {
	case identity.ClientCertificate:
		if !b.facts.Knows(facts.SourceCertificates) {
			return false
		}
		c.note("no certificate request, file or record explains it; requests are kept for an hour")
		return true
	case identity.TokenRequest:
		if len(b.usage.IssuedIDs) == 0 {
			return false // the record does not hold issues
		}
		if c.FirstSeen.Sub(b.usage.From) < lead {
			c.note("it may have been issued before the record begins")
		} else {
			c.note("the record holds the issue of others, and not of it")
		}
		return true
	default:
		return false
	}
}

// usedWouldShow reports whether use would have been seen over the time after which a credential is dormant.
func (b *builder) usedWouldShow(c *Credential) bool {
	if b.since(c.Issued) < b.dormant {
		return false
	}
	if c.Mechanism == string(identity.ServiceAccount) && c.Kind == KindCredential {
		tracked := b.facts.TokenTrackingSince
		if !tracked.IsZero() && b.since(tracked) >= b.dormant {
			return true
		}
	}
	usage := b.facts.Usage
	return usage != nil && b.since(usage.From) >= b.dormant
}

// oneCopy gives every list that comes again and again the same place in memory: most Secrets of a namespace have the same
// readers, and a large cluster has a hundred thousand Secrets.
func (b *builder) oneCopy(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	key := strings.Join(list, "\x00")
	known, ok := b.lists[key]
	if !ok {
		known = slices.Clone(list) // not a part of a longer one
		b.lists[key] = known
	}
	return known
}
