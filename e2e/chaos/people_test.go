//go:build linux

package chaos_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/minter"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// credential is one of a person's.
type credential struct {
	name  string
	token string       // a bearer token, or
	pair  *pki.KeyPair // a client certificate
	// target is how a revocation names it.
	target gate.Object
}

// person is somebody with a credential of each of three mechanisms.
type person struct {
	name        string
	credentials []*credential
	// open is the revocation that stands, if one was left.
	open *standing
}

// standing is a revocation that is known to stand.
type standing struct {
	id      int
	name    string
	covered []*credential
}

// crowd is persons, and what a gate must know to let them in.
type crowd struct {
	persons []*person
	users   *pki.Authority
	tokens  string // the token file
}

// guardToken is the guard's.
const guardToken = "a-static-token-of-the-guard-with-enough-chance-in-it-4711"

// newCrowd makes persons. Every third has a certificate, which costs a connection of its own.
func newCrowd(n int) (*crowd, error) {
	users, err := pki.NewAuthority("users-ca")
	if err != nil {
		return nil, err
	}
	c := &crowd{users: users}
	var lines strings.Builder
	_, _ = fmt.Fprintf(&lines, "%s,%s,uid-of-guard\n", guardToken, guard)
	for i := range n {
		p := &person{name: fmt.Sprintf("person-%d", i)}
		id, secret := strings.ToLower(hex.EncodeToString([]byte(rand.Text())[:8])), rand.Text()+rand.Text()
		sum := sha256.Sum256([]byte(secret))
		_, _ = fmt.Fprintf(&lines, "sha256:%s:%s,%s,uid-%d,%s\n", id, hex.EncodeToString(sum[:]), p.name, i, people)
		p.credentials = append(p.credentials, &credential{
			name: "static", token: secret, target: gate.Object{"credential": gate.Object{"id": "STATIC=" + id}},
		})
		claims := shared.issuer.Claims(p.name, audience, people)
		minted, err := shared.issuer.Mint(minter.Token{Algorithm: "ES256", KeyID: keyID, Claims: claims})
		if err != nil {
			return nil, err
		}
		p.credentials = append(p.credentials, &credential{
			name: "jwt", token: minted, target: gate.Object{"credential": gate.Object{"id": fmt.Sprintf("JTI=%s", claims["jti"]), "issuer": shared.issuer.Issuer}},
		})
		if i%3 == 0 {
			pair, err := users.Issue(pki.Client(p.name, people))
			if err != nil {
				return nil, err
			}
			p.credentials = append(p.credentials, &credential{
				name: "certificate", pair: pair, target: gate.Object{"certificate": gate.Object{
					"serial": pair.Certificate.SerialNumber.Text(16), "issuer": pair.Certificate.Issuer.String(),
				}},
			})
		}
		c.persons = append(c.persons, p)
	}
	c.tokens = lines.String()
	return c, nil
}

// dice are the run's chance: all of it comes from one seed.
type dice struct{ state [sha256.Size]byte }

func newDice(seed int64, name string) *dice {
	return &dice{sha256.Sum256([]byte(fmt.Sprintf("%d %s", seed, name)))}
}

// below returns a number from 0 to n-1.
func (d *dice) below(n int) int {
	d.state = sha256.Sum256(d.state[:])
	return int(new(big.Int).Mod(new(big.Int).SetBytes(d.state[:8]), big.NewInt(int64(n))).Int64())
}

// one returns one of several.
func one[T any](d *dice, of []T) T { return of[d.below(len(of))] }
