// Package collect gathers the facts of a cluster's authentication: live from an API server, from files of a node, and
// from kubeconfigs. It only reads. What it asks an API server for goes through Asker, which its caller supplies.
//
// Secrets are made harmless as soon as they are read: of a token, how hard it is to guess and a keyed digest are kept.
// Whatever cannot be read is recorded with the right or the option that would make it readable.
package collect

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/tokenstrength"
)

const (
	// keyBytes is the length of the key of one gathering's digests.
	keyBytes = 32
	// digestBytes is what of a digest is kept: enough that no two tokens of one cluster share it by chance.
	digestBytes = 16
)

// Gatherer gathers the facts of one cluster. It is not safe for concurrent use.
type Gatherer struct {
	// Progress is told what is being read; nil means nobody is.
	Progress func(string)

	found *facts.Facts
	key   [keyBytes]byte
}

// New begins a gathering at the given time.
func New(now time.Time, tool string) *Gatherer {
	g := &Gatherer{found: &facts.Facts{CollectedAt: now.UTC().Truncate(time.Second), Tool: tool}}
	_, _ = rand.Read(g.key[:]) // never fails (crypto/rand)
	return g
}

// Facts are what was gathered so far.
func (g *Gatherer) Facts() *facts.Facts { return g.found }

// Gate notes what is known of a gateway before the API servers: the name that it has for the cluster, where the server that
// was asked is one, and the addresses that it asks from.
func (g *Gatherer) Gate(cluster string, addresses []string) {
	if cluster != "" || len(addresses) > 0 {
		g.found.Gate = &facts.Gate{Cluster: cluster, Addresses: addresses}
	}
}

func (g *Gatherer) say(what string) {
	if g.Progress != nil {
		g.Progress(what)
	}
}

func (g *Gatherer) note(source facts.Source, state facts.State, count int, detail, needs string) {
	g.found.Note(facts.SourceStatus{Source: source, State: state, Count: count, Detail: detail, Needs: needs})
}

// noteNoBetter is note for one of several API servers: what could not be read as a whole of another stays so.
func (g *Gatherer) noteNoBetter(source facts.Source, state facts.State, count int, detail string) {
	switch g.found.Status(source).State {
	case facts.Unreadable, facts.Partial:
	case facts.NotAsked, facts.Read, facts.Absent:
		g.note(source, state, count, detail, "")
	}
}

// digest tells two secrets of one gathering apart, and nothing else.
func (g *Gatherer) digest(secret string) string {
	mac := hmac.New(sha256.New, g.key[:])
	_, _ = mac.Write([]byte(secret)) // never fails (hash.Hash)
	return hex.EncodeToString(mac.Sum(nil)[:digestBytes])
}

// token judges a token, after which nobody needs it any more.
func (g *Gatherer) token(secret string) facts.Token {
	return facts.Token{Digest: g.digest(secret), Bits: tokenstrength.Bits(secret), Published: tokenstrength.Published(secret)}
}
