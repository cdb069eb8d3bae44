package bootstraptoken_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/authn/bootstraptoken"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/secret"
)

const good = "goodid.q7x2m9k4w1z8r5t3"

// one is a source of a single Secret.
type one struct {
	secret *corev1.Secret
	err    error
}

func (o one) Table() (*bootstraptoken.Table, error) {
	if o.err != nil || o.secret == nil {
		return nil, o.err
	}
	return bootstraptoken.NewTable([]*bootstraptoken.Record{bootstraptoken.FromSecret(o.secret)}), nil
}

// tokenSecret is the Secret of a good token, with one thing changed.
func tokenSecret(change func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + good[:6]}, Type: "bootstrap.kubernetes.io/token",
		Data: map[string][]byte{"token-id": []byte(good[:6]), "token-secret": []byte(good[7:]), "usage-bootstrap-authentication": []byte("true")},
	}
	if change != nil {
		change(s)
	}
	return s
}

func data(key, value string) func(*corev1.Secret) {
	return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
}

func TestRules(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name    string
		token   string
		change  func(*corev1.Secret)
		source  error
		outcome authn.Outcome
		failed  bool
		groups  []string
	}{
		{name: "BOOT-10 good", outcome: authn.Accepted, groups: []string{"system:bootstrappers"}},
		{name: "BOOT-1 upper case", token: strings.ToUpper(good), outcome: authn.NoCredential},
		{name: "BOOT-1 longer", token: good + "a", outcome: authn.NoCredential},
		{name: "BOOT-1 line break", token: good + "\n", outcome: authn.NoCredential},
		{name: "BOOT-1 no dot", token: strings.Replace(good, ".", "a", 1), outcome: authn.NoCredential},
		{name: "BOOT-2 unknown id", token: "nobody.q7x2m9k4w1z8r5t3", outcome: authn.NoCredential},
		{name: "BOOT-2 not known yet", source: bootstraptoken.ErrNotSynced, failed: true},
		{name: "BOOT-3 being deleted", change: func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now.Add(time.Hour)} }},
		{name: "BOOT-4 other type", change: func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }},
		{name: "BOOT-5 wrong secret", token: "goodid.0000000000000000", outcome: authn.NoCredential},
		{name: "BOOT-5 no secret", change: data("token-secret", ""), outcome: authn.NoCredential},
		{name: "BOOT-6 other id", change: data("token-id", "others")},
		{name: "BOOT-7 expired", change: data("expiration", now.Add(-time.Second).Format(time.RFC3339))},
		{name: "BOOT-7 later", change: data("expiration", now.Add(time.Minute).Format(time.RFC3339)), outcome: authn.Accepted, groups: []string{"system:bootstrappers"}},
		{name: "BOOT-7 no time", change: data("expiration", "tomorrow")},
		{name: "BOOT-8 usage", change: data("usage-bootstrap-authentication", "True")},
		{name: "BOOT-9 groups", change: data("auth-extra-groups", "system:bootstrappers:b,system:bootstrappers:a"), outcome: authn.Accepted, groups: []string{"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b"}},
		{name: "BOOT-9 foreign group", change: data("auth-extra-groups", "system:masters")},
		{name: "BOOT-9 trailing comma", change: data("auth-extra-groups", "system:bootstrappers:a,")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			token := tt.token
			if token == "" {
				token = good
			}
			mechanism := bootstraptoken.New(one{tokenSecret(tt.change), tt.source}, false)
			got := mechanism.AuthenticateToken(t.Context(), &authn.Request{Now: now}, secret.New(token))
			if got.Outcome != tt.outcome || got.Failed != tt.failed {
				t.Fatalf("outcome %d failed %v, want %d %v (%v)", got.Outcome, got.Failed, tt.outcome, tt.failed, got.Cause)
			}
			if got.Outcome != authn.Accepted {
				return
			}
			if diff := cmp.Diff(identity.Identity{Username: "system:bootstrap:goodid", Groups: tt.groups}, got.Credential.Identity); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWeakTokensAreRefusedG17: a token that stands in documentation, or was typed by hand, is refused for good although
// its Secret is valid; the twin is kube-apiserver's own decision.
func TestWeakTokensAreRefusedG17(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"abcdef.0123456789abcdef", "07401b.f395accd246ae52d", "mytest.aaaaaaaaaaaaaaaa", "mytest.1234567890123456", "mytest.passwordpassword"} {
		s := tokenSecret(func(s *corev1.Secret) {
			s.Name = "bootstrap-token-" + token[:6]
			s.Data["token-id"], s.Data["token-secret"] = []byte(token[:6]), []byte(token[7:])
		})
		got := bootstraptoken.New(one{secret: s}, false).AuthenticateToken(t.Context(), &authn.Request{Now: time.Now()}, secret.New(token))
		if !got.Final || !errors.Is(got.Cause, bootstraptoken.ErrWeak) {
			t.Errorf("%s: %+v, want a refusal that ends the request", token, got)
		}
		twin := bootstraptoken.New(one{secret: s}, true).AuthenticateToken(t.Context(), &authn.Request{Now: time.Now()}, secret.New(token))
		if twin.Outcome != authn.Accepted {
			t.Errorf("%s: the twin is refused: %v", token, twin.Cause)
		}
	}
}

// TestMadeTokensAreStrong: what Ostiary draws is taken, and its entry holds no secret.
func TestMadeTokensAreStrong(t *testing.T) {
	t.Parallel()
	for range 2000 {
		token, entry, err := bootstraptoken.Make(time.Now().Add(time.Hour), []string{"system:bootstrappers:nodes"}, "rack 7")
		if err != nil {
			t.Fatal(err)
		}
		content, err := yaml.Marshal([]bootstraptoken.Entry{entry})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), token[7:]) {
			t.Fatalf("the entry holds the secret: %s", content)
		}
		file, err := bootstraptoken.ParseFile(content)
		if err != nil {
			t.Fatal(err)
		}
		if got := bootstraptoken.New(file, false).AuthenticateToken(t.Context(), &authn.Request{Now: time.Now()}, secret.New(token)); got.Outcome != authn.Accepted {
			t.Fatalf("%s is refused: %v", token, got.Cause)
		}
	}
}

func entry(id, secretPart, rest string) string {
	digest := sha256.Sum256([]byte(secretPart))
	return "- id: " + id + "\n  hash: sha256:" + hex.EncodeToString(digest[:]) + "\n  expires: 2030-01-02T03:04:05Z\n" + rest
}

func TestFileRefuses(t *testing.T) {
	t.Parallel()
	fine := entry("goodid", "x", "")
	for _, tt := range []struct{ name, content, want string }{
		{"empty", "", "holds 0 tokens"},
		{"no list", "a: b", "not a list"},
		{"unknown field", fine + "  secret: x\n", "not a list"},
		{"id", entry("UPPER1", "x", ""), "entry 0: id"},
		{"clear text", strings.Replace(fine, "sha256:", "", 1), "entry 0: hash"},
		{"no end", strings.Replace(fine, "2030-01-02T03:04:05Z", "never", 1), "entry 0: expires"},
		{"group", entry("goodid", "x", "  groups: [system:masters]\n"), "entry 0: groups"},
		{"twice", fine + fine, "entry 1: there is another"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := bootstraptoken.ParseFile([]byte(tt.content)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzParseFile: no content makes it fall, and no mistake lets a token in.
func FuzzParseFile(f *testing.F) {
	f.Add([]byte(entry("goodid", good[7:], "  groups: [system:bootstrappers:a]\n")))
	f.Add([]byte("- {}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := bootstraptoken.ParseFile(content)
		if err != nil {
			return
		}
		if table, err := file.Table(); table.Len() == 0 || err != nil {
			t.Fatalf("a good file holds %d tokens, %v", table.Len(), err)
		}
	})
}
