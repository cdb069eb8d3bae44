package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
)

const (
	// MaxRequest bounds a certificate request: one with a key of RSA 4096 has less than 2 kB.
	MaxRequest = 8 << 10
	// usualExponent is the one public exponent that is taken: small ones make mistakes in padding fatal, large ones are a way
	// to make every handshake costly.
	usualExponent = 65537
	// fermatRounds is how many steps of Fermat's method a modulus must withstand: its primes are too close together otherwise
	// (CVE-2022-26320). A good key passes any number of them.
	fermatRounds = 110
	// smallPrimes bounds the primes that must not divide a modulus.
	smallPrimes = 752
)

// ErrKey is wrapped by all errors about a request or a key that is refused. They are for the client.
var ErrKey = errors.New("the key is refused")

// ParseRequest reads a certificate request (PKCS#10, DER) and returns the key in it, which its sender has shown to possess.
// Everything else that it says is ignored. Errors are ErrKey.
func ParseRequest(der []byte) (crypto.PublicKey, error) {
	if len(der) > MaxRequest {
		return nil, fmt.Errorf("%w: the request is larger than %d bytes", ErrKey, MaxRequest)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the request is not PKCS#10 in DER", ErrKey)
	}
	// Its strength first: a signature is not worth checking under a key that is not one of ours to check.
	if err := CheckKey(request.PublicKey); err != nil {
		return nil, err
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: the request is not signed by the key in it", ErrKey)
	}
	return request.PublicKey, nil
}

// CheckKey refuses keys that are of an unusual kind, or known to be weak. Errors are ErrKey.
func CheckKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("%w: of the elliptic curves, P-256 and P-384 are taken", ErrKey)
		}
		if _, err := key.ECDH(); err != nil { // the point is on the curve, and is not its zero
			return fmt.Errorf("%w: its point is not on the curve", ErrKey)
		}
		return nil
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: it is too short", ErrKey)
		}
		return nil
	case *rsa.PublicKey:
		return checkRSA(key)
	default:
		return fmt.Errorf("%w: P-256, P-384, Ed25519 and RSA are taken", ErrKey)
	}
}

func checkRSA(key *rsa.PublicKey) error {
	switch {
	case !slices.Contains([]int{2048, 3072, 4096}, key.N.BitLen()):
		return fmt.Errorf("%w: RSA is taken with 2048, 3072 or 4096 bits", ErrKey)
	case key.E != usualExponent:
		return fmt.Errorf("%w: RSA is taken with the public exponent %d", ErrKey, usualExponent)
	case new(big.Int).GCD(nil, nil, key.N, primorial()).Cmp(big.NewInt(1)) != 0:
		return fmt.Errorf("%w: a small prime divides its modulus", ErrKey)
	case isROCA(key.N):
		return fmt.Errorf("%w: it has the weakness of Infineon's library (ROCA, CVE-2017-15361)", ErrKey)
	case isFermat(key.N):
		return fmt.Errorf("%w: its primes are too close together", ErrKey)
	}
	return nil
}

// primorial is the product of all primes below smallPrimes.
var primorial = sync.OnceValue(func() *big.Int { //nolint:gochecknoglobals // worked out once
	product := big.NewInt(1)
	for n := int64(2); n < smallPrimes; n++ {
		if big.NewInt(n).ProbablyPrime(0) { // exact for numbers below 2^64
			product.Mul(product, big.NewInt(n))
		}
	}
	return product
})

// isFermat reports whether a modulus falls to a few steps of Fermat's method.
func isFermat(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	square, b, rest := new(big.Int), new(big.Int), new(big.Int)
	for range fermatRounds {
		if square.Mul(a, a); square.Cmp(n) >= 0 {
			rest.Sub(square, n)
			if b.Sqrt(rest); square.Mul(b, b).Cmp(rest) == 0 {
				return true
			}
		}
		a.Add(a, big.NewInt(1))
	}
	return false
}

// isROCA reports whether a modulus has the fingerprint of "The Return of Coppersmith's Attack" (Nemec and others, CCS 2017): for
// each of these primes it is a power of 65537.
func isROCA(n *big.Int) bool {
	rest := new(big.Int)
	for _, p := range []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		if !isPower(rest.Mod(n, big.NewInt(p)).Int64(), usualExponent%p, p) {
			return false
		}
	}
	return true
}

// isPower reports whether a is a power of base, modulo p.
func isPower(a, base, p int64) bool {
	power := int64(1)
	for range p {
		if power == a {
			return true
		}
		power = power * base % p
	}
	return false
}
