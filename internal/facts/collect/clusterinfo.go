package collect

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
)

// signaturePrefix is what stands before a join token's id in cluster-info.
const signaturePrefix = "jws-kubeconfig-"

// clusterInfo reads cluster-info as anybody can, and tries tokens that everybody knows against its signatures. Nothing
// is sent for that: each is an HMAC keyed with a token's second half, and the first is public, so a right guess shows itself here.
func (g *Gatherer) clusterInfo(ctx context.Context, anonymous Asker) {
	answer, err := anonymous.Ask(ctx, Question{Path: "/api/v1/namespaces/kube-public/configmaps/cluster-info"})
	if err != nil {
		g.note(facts.SourceClusterInfo, facts.Unreadable, 0, err.Error(), "a way to the API server without a credential")
		return
	}
	switch answer.Status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		g.found.ClusterInfo = &facts.ClusterInfo{}
		g.note(facts.SourceClusterInfo, facts.Read, 0, "", "")
		return
	default:
		g.note(facts.SourceClusterInfo, facts.Unreadable, 0, "the server answered with an error of its own", "")
		return
	}
	var object struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(answer.Body, &object); err != nil {
		g.note(facts.SourceClusterInfo, facts.Unreadable, 0, err.Error(), "a cluster-info that can be read")
		return
	}
	info := &facts.ClusterInfo{Public: true}
	for key, signature := range object.Data {
		if id, ok := strings.CutPrefix(key, signaturePrefix); ok {
			info.Signatures = append(info.Signatures, guess(id, signature, object.Data["kubeconfig"]))
		}
	}
	slices.SortFunc(info.Signatures, func(a, b facts.JoinSignature) int { return strings.Compare(a.TokenID, b.TokenID) })
	g.found.ClusterInfo = info
	g.note(facts.SourceClusterInfo, facts.Read, len(info.Signatures), "", "")
}

// guess tries tokens against one signature.
func guess(id, signature, content string) facts.JoinSignature {
	tried := facts.JoinSignature{TokenID: id}
	for _, candidate := range candidates(id) {
		tried.Tried++
		if signedBy(candidate.secret, signature, content) {
			tried.Guessed, tried.How = true, candidate.how
			return tried
		}
	}
	return tried
}

// signedBy reports whether the second half of a token made a detached JWS (RFC 7515, appendix F) of content with HS256, as the
// bootstrap signer does.
func signedBy(secret, signature, content string) bool {
	header, rest, ok := strings.Cut(signature, ".")
	detached, made, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || detached != "" {
		return false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(made)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(header + "." + base64.RawURLEncoding.EncodeToString([]byte(content)))) // never fails (hash.Hash)
	return hmac.Equal(mac.Sum(nil), decoded)
}

// candidate is a guess of a token's second half, and why it is made.
type candidate struct{ secret, how string }

const (
	published = "a token that stands in public documents"
	pattern   = "a pattern that people type"
	fromID    = "a token whose secret repeats its id"
	// secretLength is that of a bootstrap token's secret.
	secretLength = 16
)

// candidates are what whoever makes a token by hand makes first. They are few: a check is no attack, and a token that
// falls to them falls to anybody.
func candidates(id string) []candidate {
	var all []candidate
	add := func(how string, secrets ...string) {
		for _, secret := range secrets {
			if len(secret) >= secretLength {
				all = append(all, candidate{secret: secret[:secretLength], how: how})
			}
		}
	}
	add(published, publishedSecrets()...)
	add(pattern,
		"1234567890123456", "0123456789012345", "abcdefghijklmnop", "abcdef0123456789", "0123456789abcdef", "fedcba9876543210",
		"qwertyuiopasdfgh", "1q2w3e4r5t6y7u8i", "aaaabbbbccccdddd", "abcdabcdabcdabcd", "0123012301230123", "abcabcabcabcabca",
		"1111222233334444", "deadbeefdeadbeef", "cafebabecafebabe", "changemechangeme", "passwordpassword", "secretsecretsecr",
		"kuberneteskubern", "bootstraptokenxx", "supersecrettoken", "thisisaverysecre", "adminadminadmina", "tokentokentokent",
	)
	for c := byte('0'); c <= '9'; c++ {
		add(pattern, strings.Repeat(string(c), secretLength))
	}
	for c := byte('a'); c <= 'z'; c++ {
		add(pattern, strings.Repeat(string(c), secretLength))
	}
	for _, word := range []string{"admin", "test", "kube", "token", "cluster", "node", "join", "master", "secret", "password", "demo"} {
		add(pattern, strings.Repeat(word, secretLength), word+"0000000000000000", word+"1234567890123456", word+"0123456789abcdef")
	}
	if id != "" {
		add(fromID, strings.Repeat(id, secretLength))
	}
	return all
}

// publishedSecrets are the second halves of join tokens in the documentation of Kubernetes; a test holds them against
// what package tokenstrength calls published.
func publishedSecrets() []string {
	return []string{"0123456789abcdef", "1234567890abcdef", "f395accd246ae52d", "db7bc3a58fc5f07e", "c0izixklcxtmnze7", "5ec8455bb76b379f"}
}
