package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
)

// publicOf is an RSA key of a modulus.
func publicOf(n *big.Int) *rsa.PublicKey { return &rsa.PublicKey{N: n, E: usualExponent} }

// prime draws one of that many bits, with its two highest set, so that a product of two has all bits.
func prime(t *testing.T, bits int) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// roca is a modulus of the form that Infineon's library made: each prime is k*M + (65537^a mod M), M a product of the first primes.
func roca(t *testing.T) *big.Int {
	t.Helper()
	m := big.NewInt(1)
	for n, count := int64(2), 0; count < 126; n++ { // 126 primes for moduli of 2048 bits, as in the paper
		if big.NewInt(n).ProbablyPrime(0) {
			m.Mul(m, big.NewInt(n))
			count++
		}
	}
	one := func() *big.Int {
		for {
			a, err := rand.Int(rand.Reader, big.NewInt(1<<40))
			if err != nil {
				t.Fatal(err)
			}
			base := new(big.Int).Exp(big.NewInt(usualExponent), a, m)
			for range 2000 {
				k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(1024-m.BitLen())))
				if err != nil {
					t.Fatal(err)
				}
				k.SetBit(k, 1023-m.BitLen(), 1)
				p := new(big.Int).Add(new(big.Int).Mul(k, m), base)
				if p.BitLen() == 1024 && p.ProbablyPrime(10) {
					return p
				}
			}
		}
	}
	for {
		if n := new(big.Int).Mul(one(), one()); n.BitLen() == 2048 {
			return n
		}
	}
}

// close are two primes next to each other (CVE-2022-26320).
func closePrimes(t *testing.T) *big.Int {
	t.Helper()
	p := prime(t, 1024)
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(10) {
		q.Add(q, big.NewInt(2))
	}
	return new(big.Int).Mul(p, q)
}

// TestCheckKey refuses keys of unusual kinds and sizes, and those that are known to be weak.
func TestCheckKey(t *testing.T) {
	t.Parallel()
	curve := func(c elliptic.Curve) crypto.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key.Public()
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := new(big.Int).Mul(prime(t, 1024), prime(t, 1024))
	tests := []struct {
		name string
		key  crypto.PublicKey
		good bool
	}{
		{"P-224", curve(elliptic.P224()), false},
		{"P-521", curve(elliptic.P521()), false},
		{"a point beside the curve", &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, false}, //nolint:staticcheck // no constructor makes one
		{"half an Ed25519 key", edwards[:16], false},
		{"a pointer to an Ed25519 key", &edwards, false},
		{"nothing", nil, false},
		{"RSA 1024", publicOf(new(big.Int).Mul(prime(t, 512), prime(t, 512))), false},
		{"RSA 2047", publicOf(new(big.Int).Rsh(good, 1)), false},
		{"RSA 5120", publicOf(new(big.Int).SetBit(new(big.Int).Set(good), 5119, 1)), false},
		{"exponent 3", &rsa.PublicKey{N: good, E: 3}, false},
		{"exponent 65539", &rsa.PublicKey{N: good, E: 65539}, false},
		{"even", publicOf(new(big.Int).SetBit(new(big.Int).Set(good), 0, 0)), false},
		{"a factor of 751", publicOf(multiple(751)), false},
		{"close primes", publicOf(closePrimes(t)), false},
		{"a square", publicOf(square(t)), false},
		{"ROCA", publicOf(roca(t)), false},
		{"P-256", curve(elliptic.P256()), true},
		{"P-384", curve(elliptic.P384()), true},
		{"Ed25519", edwards, true},
		{"RSA 2048", publicOf(good), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := CheckKey(test.key)
			if (err == nil) != test.good || err != nil && !errors.Is(err, ErrKey) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// multiple is a number of 2048 bits that p divides.
func multiple(p int64) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	n.Add(n, big.NewInt(p))
	return n.Sub(n, new(big.Int).Mod(n, big.NewInt(p)))
}

func square(t *testing.T) *big.Int {
	t.Helper()
	for {
		p := prime(t, 1024)
		if n := new(big.Int).Mul(p, p); n.BitLen() == 2048 {
			return n
		}
	}
}

// TestKindsOfWeakness shows that each check finds what it is for by itself.
func TestKindsOfWeakness(t *testing.T) {
	t.Parallel()
	good := new(big.Int).Mul(prime(t, 1024), prime(t, 1024))
	if isROCA(good) || isFermat(good) {
		t.Error("a good modulus is taken for a weak one")
	}
	if !isROCA(roca(t)) || !isFermat(closePrimes(t)) || !isFermat(square(t)) {
		t.Error("a weak modulus is taken for a good one")
	}
}

// request makes one that is whole.
func request(t testing.TB, template *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestParseRequest wants proof of possession, and one reading.
func TestParseRequest(t *testing.T) {
	t.Parallel()
	good := request(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:admin", Organization: []string{"system:masters"}}})
	if _, err := ParseRequest(good); err != nil {
		t.Fatal(err)
	}
	stolen := append([]byte(nil), good...)
	stolen[len(stolen)-1] ^= 1 // the signature
	for name, der := range map[string][]byte{
		"nothing": nil, "text": []byte("-----BEGIN CERTIFICATE REQUEST-----"), "half": good[:len(good)/2], "something behind it": append(append([]byte(nil), good...), 0),
		"another's signature": stolen, "too long": make([]byte, MaxRequest+1),
	} {
		if _, err := ParseRequest(der); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParseRequest never panics, and what it takes has a key that passes the checks.
func FuzzParseRequest(f *testing.F) {
	f.Add(request(f, &x509.CertificateRequest{}))
	f.Add(request(f, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"y"}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := ParseRequest(der)
		if err != nil {
			if !errors.Is(err, ErrKey) || key != nil {
				t.Errorf("%v, %v", key, err)
			}
			return
		}
		if err := CheckKey(key); err != nil {
			t.Error(err)
		}
	})
}
