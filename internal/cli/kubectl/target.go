package kubectl

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const (
	// maxFile bounds what is read of a file: a CRL of some hundred thousand certificates.
	maxFile = 64 << 20
	// secretIssuer is the issuer of ServiceAccount tokens that are kept in Secrets (SAL-1), and secretIDBytes what of a
	// digest tells two of one Secret apart.
	secretIssuer  = "kubernetes/serviceaccount" //nolint:gosec // a name
	secretIDBytes = 8
	hexadecimal   = 16
	// removeFromCRL is the reason of an entry which says that a certificate is good again (RFC 5280 section 5.3.1).
	removeFromCRL = 8
)

// certificateIssuer is the extension of an entry about another issuer's certificate (RFC 5280 section 5.3.3).
var certificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29} //nolint:gochecknoglobals // a constant that Go cannot express

// targetFlags name what is to be shut out.
type targetFlags struct {
	id, fingerprint, serial, jti, issuer string
	user, serviceAccount, mechanism      string
	file, ca, crl                        string
}

func (f *targetFlags) add(command *cobra.Command) {
	set := command.Flags()
	set.StringVar(&f.id, "id", "", "A credential by its id, as logs and audit logs have it; with --issuer if it is unique only there.")
	set.StringVar(&f.fingerprint, "fingerprint", "", "A certificate by its SHA-256 fingerprint in hex, with or without colons.")
	set.StringVar(&f.serial, "serial", "", "A certificate by its serial number in hex; with --issuer, its issuer's distinguished name.")
	set.StringVar(&f.jti, "jti", "", "A token by its jti; with --issuer, its iss.")
	set.StringVar(&f.issuer, "issuer", "", "With --id, --serial or --jti: their issuer. Alone: everything of this OIDC provider, cluster or CA key.")
	set.StringVar(&f.user, "user", "", "Everything of a user name.")
	set.StringVar(&f.serviceAccount, "service-account", "", "Everything of a ServiceAccount: namespace/name.")
	set.StringVar(&f.mechanism, "mechanism", "", "Everything of a mechanism, spelled as in the gate's configuration.")
	set.StringVar(&f.file, "file", "", "A certificate (PEM, each in the file) or a token (JWT). It is read here; a token never leaves this machine.")
	set.StringVar(&f.ca, "ca", "", "Everything that was signed by the CAs in a file (PEM), by their keys.")
	set.StringVar(&f.crl, "crl", "", "Every certificate of a revocation list (PEM or DER). Its signature is not checked.")
}

// targets reads what to shut out. Exactly one way must be chosen.
func (f *targetFlags) targets() ([]adminapi.Target, error) {
	type way struct {
		flag, value string
		read        func() ([]adminapi.Target, error)
	}
	var chosen []way
	for _, w := range []way{
		{"--id", f.id, func() ([]adminapi.Target, error) { return credential(f.id, f.issuer) }},
		{"--fingerprint", f.fingerprint, f.byFingerprint},
		{"--serial", f.serial, f.bySerial},
		{"--jti", f.jti, f.byJTI},
		{"--user", f.user, func() ([]adminapi.Target, error) { return one(adminapi.Target{User: f.user}) }},
		{"--service-account", f.serviceAccount, f.account},
		{"--mechanism", f.mechanism, func() ([]adminapi.Target, error) { return one(adminapi.Target{Mechanism: f.mechanism}) }},
		{"--file", f.file, func() ([]adminapi.Target, error) { return ofFile(f.file) }},
		{"--ca", f.ca, func() ([]adminapi.Target, error) { return ofAuthorities(f.ca) }},
		{"--crl", f.crl, func() ([]adminapi.Target, error) { return ofCRL(f.crl) }},
	} {
		if w.value != "" {
			chosen = append(chosen, w)
		}
	}
	switch {
	case len(chosen) == 0 && f.issuer != "":
		return one(adminapi.Target{Issuer: f.issuer})
	case len(chosen) == 0:
		return nil, errors.New("say what to shut out, for example --user or --file; see --help")
	case len(chosen) > 1:
		return nil, fmt.Errorf("%s and %s name two things; give one", chosen[0].flag, chosen[1].flag)
	}
	if f.issuer != "" && chosen[0].flag != "--id" && chosen[0].flag != "--serial" && chosen[0].flag != "--jti" {
		return nil, fmt.Errorf("--issuer has no meaning with %s", chosen[0].flag)
	}
	return chosen[0].read()
}

func one(target adminapi.Target) ([]adminapi.Target, error) { return []adminapi.Target{target}, nil }

func credential(id, issuer string) ([]adminapi.Target, error) {
	return one(adminapi.Target{Credential: &adminapi.CredentialTarget{ID: id, Issuer: issuer}})
}

func (f *targetFlags) byFingerprint() ([]adminapi.Target, error) {
	digits := strings.ToLower(strings.ReplaceAll(f.fingerprint, ":", ""))
	digits = strings.TrimPrefix(strings.TrimPrefix(digits, "x509sha256="), "sha256=")
	if decoded, err := hex.DecodeString(digits); err != nil || len(decoded) != sha256.Size {
		return nil, fmt.Errorf("--fingerprint: want %d hex digits, the SHA-256 of the certificate", 2*sha256.Size)
	}
	return credential("X509SHA256="+digits, "")
}

func (f *targetFlags) bySerial() ([]adminapi.Target, error) {
	if f.issuer == "" {
		return nil, errors.New("--serial needs --issuer, the issuer's distinguished name, for example CN=kubernetes")
	}
	return one(adminapi.Target{Certificate: &adminapi.CertificateTarget{Serial: f.serial, Issuer: f.issuer}})
}

func (f *targetFlags) byJTI() ([]adminapi.Target, error) {
	if f.issuer == "" {
		return nil, errors.New("--jti needs --issuer, the token's iss")
	}
	return credential("JTI="+strings.TrimPrefix(f.jti, "JTI="), f.issuer)
}

func (f *targetFlags) account() ([]adminapi.Target, error) {
	namespace, name, ok := strings.Cut(f.serviceAccount, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return nil, errors.New("--service-account: want namespace/name")
	}
	return one(adminapi.Target{User: "system:serviceaccount:" + namespace + ":" + name})
}

// ofFile reads certificates or a token.
func ofFile(path string) ([]adminapi.Target, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	certificates, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []adminapi.Target
	for _, certificate := range certificates {
		if certificate.IsCA {
			continue // a chain may come along; --ca is for CAs
		}
		sum := sha256.Sum256(certificate.Raw)
		all = append(all, adminapi.Target{Credential: &adminapi.CredentialTarget{ID: "X509SHA256=" + hex.EncodeToString(sum[:])}})
	}
	switch {
	case len(all) > 0:
		return all, nil
	case len(certificates) > 0:
		return nil, fmt.Errorf("%s holds CA certificates only; --ca shuts out everything that they signed", path)
	}
	target, err := ofToken(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return one(target)
}

// errNoCredential repeats nothing of a file that may hold a secret.
var errNoCredential = errors.New("holds neither a PEM certificate nor a JWT; name other credentials by --id")

// ofToken names a JWT as the gate does. Nothing of it is verified: what is shut out is whatever says the same.
func ofToken(token string) (adminapi.Target, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 { //nolint:mnd // RFC 7515 section 3.1
		return adminapi.Target{}, errNoCredential
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return adminapi.Target{}, errNoCredential
	}
	var claims struct {
		Issuer    string `json:"iss"`
		ID        string `json:"jti"`
		Secret    string `json:"kubernetes.io/serviceaccount/secret.name"`
		Namespace string `json:"kubernetes.io/serviceaccount/namespace"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Issuer == "" {
		return adminapi.Target{}, errNoCredential
	}
	digest := sha256.Sum256([]byte(token))
	id := "JWTSHA256=" + hex.EncodeToString(digest[:])
	switch {
	case claims.Issuer == secretIssuer && claims.Secret != "":
		id = "SECRET=" + claims.Namespace + "/" + claims.Secret + "/" + hex.EncodeToString(digest[:secretIDBytes])
	case claims.ID != "":
		id = "JTI=" + claims.ID
	}
	return adminapi.Target{Credential: &adminapi.CredentialTarget{ID: id, Issuer: claims.Issuer}}, nil
}

// ofAuthorities names CAs by their keys.
func ofAuthorities(path string) ([]adminapi.Target, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	certificates, err := parseCertificates(data)
	if err == nil && len(certificates) == 0 {
		err = errors.New("holds no PEM certificate")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []adminapi.Target
	for _, certificate := range certificates {
		if !certificate.IsCA {
			return nil, fmt.Errorf("%s: %s is no CA; --file shuts out a single certificate", path, printable(certificate.Subject.String()))
		}
		sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		all = append(all, adminapi.Target{Issuer: "SPKISHA256=" + hex.EncodeToString(sum[:])})
	}
	return all, nil
}

// ofCRL names the certificates of a revocation list.
func ofCRL(path string) ([]adminapi.Target, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil && block.Type == "X509 CRL" {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(list.RevokedCertificateEntries) == 0 {
		return nil, fmt.Errorf("%s: the list is empty", path)
	}
	var all []adminapi.Target
	for _, entry := range list.RevokedCertificateEntries {
		if slices.ContainsFunc(entry.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(certificateIssuer) }) {
			return nil, fmt.Errorf("%s: an indirect list, about certificates of other issuers than its own; ask for one of each issuer", path)
		}
		if entry.ReasonCode == removeFromCRL {
			continue
		}
		all = append(all, adminapi.Target{Certificate: &adminapi.CertificateTarget{
			Serial: entry.SerialNumber.Text(hexadecimal), Issuer: list.Issuer.String(),
		}})
	}
	return all, nil
}

func parseCertificates(data []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue // a key may stand beside it
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	return all, nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return os.ReadFile(path) //nolint:gosec // the user names it
}

// targetText names what a revocation shuts out, in one line.
func targetText(spec *adminapi.RevocationSpec) string {
	target, text := &spec.Target, ""
	switch {
	case target.Credential != nil:
		text = "credential " + target.Credential.ID
		if target.Credential.Issuer != "" {
			text += " of " + target.Credential.Issuer
		}
	case target.Certificate != nil:
		text = "certificate " + target.Certificate.Serial + " of " + target.Certificate.Issuer
	case target.User != "":
		text = "user " + target.User
	case target.Issuer != "":
		text = "issuer " + target.Issuer
	case target.Mechanism != "":
		text = "mechanism " + target.Mechanism
	}
	if spec.Scope == adminapi.ScopeSoFar {
		text += ", so far"
	}
	return text
}
