package inventory

import (
	"github.com/ostiary/ostiary/internal/facts"
)

// maxChain bounds how far back it is followed who made whom. Real chains have a few links.
const maxChain = 32

// link is who made one credential.
type link struct{ by, with string }

// chains follow who made whom.
type chains struct{ links map[string]link }

func newChains(usage *facts.Usage) *chains {
	c := &chains{links: make(map[string]link, len(usage.IssuedIDs))}
	for i := range usage.IssuedIDs {
		if one := &usage.IssuedIDs[i]; one.CredentialID != "" {
			c.links[one.CredentialID] = link{one.IssuedBy, one.ByCredential}
		}
	}
	for i := range usage.Certificates {
		if one := &usage.Certificates[i]; one.CredentialID != "" {
			c.links[one.CredentialID] = link{one.IssuedBy, one.ByCredential}
		}
	}
	return c
}

// of lists who made a credential, and who made theirs, as far as the record tells. A circle, which only a forged record
// has, ends it.
func (c *chains) of(id string) []string {
	var all []string
	for seen := map[string]bool{}; id != "" && !seen[id] && len(all) < maxChain; {
		seen[id] = true
		one, found := c.links[id]
		if !found {
			break
		}
		text := one.by
		if one.with != "" {
			text += " with " + one.with
		}
		all = append(all, text)
		id = one.with
	}
	return all
}
