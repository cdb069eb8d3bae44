// Package tokenstrength estimates how hard a token is to guess, for those kinds that people make by hand. It imports the
// standard library only.
package tokenstrength

import (
	"math"
	"strings"
	"unicode/utf8"
)

// What an estimate is made of. The numbers are chosen so that what "openssl rand" prints, which holds exactly 128 bits
// at 16 bytes and has nothing to spare, is almost never taken for a pattern; a test measures it.
const (
	// minRun is the length from which characters that follow from one another are a pattern: aaaaa, 12345, qwert. In 32
	// random hex digits four in a row happen once in a hundred, five once in two thousand.
	minRun = 5
	// minRepeat is the length from which text that was there before is a repetition.
	minRepeat = 6
	// minRunHits is how many pairs of letters of one run must be common for the run to be text, minTokenPairs how many
	// pairs a whole token must have for it to be judged as text, and from how many on a smaller share convinces, which
	// other languages than English reach.
	minRunHits    = 4
	minTokenPairs = 12
	manyPairs     = 30
	// patternChars is what a pattern is worth, whatever its length: two characters, for where it starts and how it goes on.
	patternChars = 2
	// textBits is what a letter of text is worth. Five words in a row, drawn at random from a list of 7776 of some 4.3
	// letters each, come to 3 bits a letter; words that people choose to far less.
	textBits = 2
	// fewChars is how many different characters are so few that they are the alphabet.
	fewChars = 8
	// maxJudged is how many bytes of a token are looked at. Whatever is strong is so within them.
	maxJudged = 512
)

// Bits estimates from below how many bits of chance a token holds: what an attacker has to try. No estimate can prove that
// a token was drawn at random.
func Bits(token string) float64 {
	token = strings.TrimRight(token, "=") // the padding of base64 holds nothing
	if len(token) > maxJudged {
		token = token[:maxJudged]
	}
	perChar := math.Log2(float64(alphabet(token)))
	folded := foldASCII(token)
	hexDigits, text := isHex(token), isText(token)
	bits := 0.0
	for i := 0; i < len(token); {
		if n := pattern(folded, i); n > 0 {
			bits += patternChars * perChar
			i += n
			continue
		}
		if token[i] >= utf8.RuneSelf {
			// Nobody draws characters beyond ASCII at random: they are text in some language.
			_, size := utf8.DecodeRuneInString(token[i:])
			bits += textBits
			i += size
			continue
		}
		if n := textRun(token, i); n > 0 && !hexDigits {
			bits += textBits * float64(n)
			i += n
			continue
		}
		if text && !hexDigits && !isDigit(token[i]) {
			bits += textBits
		} else {
			bits += perChar
		}
		i++
	}
	return bits
}

// alphabet is the size of the set that the token's characters seem to be drawn from.
func alphabet(token string) int {
	var seen [256]bool
	var lower, upper, digit, symbol bool
	different := 0
	for i := range len(token) {
		c := token[i]
		if !seen[c] {
			seen[c] = true
			different++
		}
		switch {
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= '0' && c <= '9':
			digit = true
		case !strings.ContainsRune("+/-_.: ", rune(c)) && c < utf8.RuneSelf:
			symbol = true
		}
	}
	switch {
	case different <= fewChars:
		return max(different, 1)
	case lower && upper && digit && symbol:
		return 80
	case lower && upper:
		// base64, even where digits are missing: of 16 random bytes, one in forty has none.
		return 64
	case isHex(token) && digit:
		return 16
	case lower && digit:
		return 36
	case upper:
		return 32 // base32, even where digits are missing
	case lower:
		return 26
	default:
		return 10
	}
}

// pattern gives the length of the pattern that starts at i, or 0: one character repeated, counting up or down,
// neighbours on a keyboard, a word that everybody uses, or a repetition of what was there before.
func pattern(s string, i int) int {
	longest := max(stepRun(s, i, 0), stepRun(s, i, 1), stepRun(s, i, -1), keyboardRun(s, i))
	if longest < minRun {
		longest = 0
	}
	return max(longest, repeat(s, i), commonWord(s[i:]))
}

// stepRun is the length of the run at i in which every character is its predecessor plus step.
func stepRun(s string, i, step int) int {
	n := 1
	for i+n < len(s) && int(s[i+n]) == int(s[i+n-1])+step {
		n++
	}
	return n
}

// keyboardRun is the length of the run at i that lies side by side on a row of a keyboard, to the right or to the left;
// 0 for one shorter than minRun.
func keyboardRun(s string, i int) int {
	const rows = "1234567890 qwertyuiop asdfghjkl zxcvbnm 0987654321 poiuytrewq lkjhgfdsa mnbvcxz"
	n := minRun
	for i+n <= len(s) && !strings.Contains(s[i:i+n], " ") && strings.Contains(rows, s[i:i+n]) {
		n++
	}
	if n == minRun {
		return 0
	}
	return n - 1
}

// repeat is the length of the longest text at i that starts somewhere before i as well; 0 for one shorter than
// minRepeat.
func repeat(s string, i int) int {
	n := minRepeat
	for i+n <= len(s) && strings.Contains(s[:i+n-1], s[i:i+n]) {
		n++
	}
	if n == minRepeat {
		return 0
	}
	return n - 1
}

// commonWord is the length of the word at the start of s that people put into tokens, or 0.
func commonWord(s string) int {
	for _, word := range []string{
		"authentication", "development", "production", "kubernetes", "bootstrap", "changeme", "password", "passw0rd",
		"platform", "staging", "account", "cluster", "default", "kubelet", "monitor", "service", "welcome", "access",
		"bearer", "deploy", "gitlab", "jenkins", "master", "secret", "static", "system", "admin", "argocd", "github",
		"login", "local", "token", "demo", "kube", "prod", "root", "test", "user",
	} {
		if strings.HasPrefix(s, word) {
			return len(word)
		}
	}
	return 0
}

// isText reports whether a whole token reads like words: at least two in five of its pairs of neighbouring letters are
// among the commonest of English. Of random pairs, one in eleven is.
func isText(token string) bool {
	pairs, hits := 0, 0
	for i := range len(token) - 1 {
		if inOneRun(token, i) {
			pairs++
			hits += commonPair(token, i)
		}
	}
	return pairs >= minTokenPairs && hits*5 >= pairs*2 || pairs >= manyPairs && hits*10 >= pairs*3
}

// textRun is the length of the run of letters that starts at i and reads like a word by itself, so that a word before
// random characters is not taken for as many random ones. It is 0 within a run, which was judged where it started.
func textRun(token string, i int) int {
	if i > 0 && inOneRun(token, i-1) {
		return 0
	}
	n, hits := 1, 0
	for i+n < len(token) && inOneRun(token, i+n-1) {
		hits += commonPair(token, i+n-1)
		n++
	}
	if pairs := n - 1; hits < minRunHits || hits*5 < pairs*2 {
		return 0
	}
	return n
}

// inOneRun reports whether the characters at i and i+1 are letters of one word: of one case, or a capital before small
// ones.
func inOneRun(token string, i int) bool {
	a, b := token[i], token[i+1]
	return isLetter(a) && isLetter(b) && (isUpper(a) || !isUpper(b))
}

// commonPair is 1 if the letters at i and i+1 are a pair that English is full of, else 0.
func commonPair(token string, i int) int {
	const common = " th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de" +
		" hi ri ro ic ne ea ra ce li ch ll be ma si om ur ot us tt pe ec ho "
	if strings.Contains(common, " "+foldASCII(token[i:i+2])+" ") {
		return 1
	}
	return 0
}

// IsUUID reports whether a token has the text form of RFC 9562, in braces or as a URN too.
func IsUUID(token string) bool {
	token = strings.ToLower(strings.TrimSpace(token))
	token = strings.TrimPrefix(token, "urn:uuid:")
	token = strings.TrimSuffix(strings.TrimPrefix(token, "{"), "}")
	if len(token) != 36 || strings.Count(token, "-") != 4 {
		return false
	}
	for _, i := range []int{8, 13, 18, 23} {
		if token[i] != '-' {
			return false
		}
	}
	return isLowerHex(strings.ReplaceAll(token, "-", ""))
}

func isHex(s string) bool {
	return isLowerHex(s) || isLowerHex(strings.ToLower(s)) && s == strings.ToUpper(s)
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return isUpper(c) || c >= 'a' && c <= 'z' }

// foldASCII makes ASCII letters small and keeps every other byte, and so all offsets, as they are.
func foldASCII(s string) string {
	folded := []byte(s)
	for i, c := range folded {
		if isUpper(c) {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
