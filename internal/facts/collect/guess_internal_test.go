package collect

import (
	"testing"

	"github.com/ostiary/ostiary/internal/tokenstrength"
)

// TestPublishedSecrets: what is tried as published is what the judgement of tokens calls so.
func TestPublishedSecrets(t *testing.T) {
	t.Parallel()

	ids := map[string]string{
		"0123456789abcdef": "abcdef", "1234567890abcdef": "abcdef", "f395accd246ae52d": "07401b", "db7bc3a58fc5f07e": "781292",
		"c0izixklcxtmnze7": "9a08jv", "5ec8455bb76b379f": "ce3aa5",
	}
	for _, secret := range publishedSecrets() {
		if !tokenstrength.Published(ids[secret] + "." + secret) {
			t.Errorf("%s.%s is no published token", ids[secret], secret)
		}
	}
	for _, c := range candidates("abcdef") {
		if len(c.secret) != secretLength || c.how == "" {
			t.Errorf("the candidate %q is no second half of a join token, or says not why it is tried", c.secret)
		}
	}
}
