package etcdstore

import clientv3 "go.etcd.io/etcd/client/v3"

const (
	// alphabet is what the ledger's names are of, or some of it.
	alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	radix    = uint64(len(alphabet))
	// digits is how many characters of a key are looked at: so many tell any two keys of a billion apart.
	digits = 10
)

// stride returns the key at which the page that begins with next should end at the latest. etcd counts all keys of the range that it
// is asked for, however few it hands out, so that pages of ranges without an end cost time that grows with the square of
// their number. Where the guess is wrong a page is short, or much is counted.
//
// What is known is the page before. If there was more in its range, from is the key in its middle, and a page's keys reach about
// twice as far; if not, from is where it began, and a page may reach far more. Both keys begin with the same prefix, which is not
// empty, and next is the greater one.
func stride(from, next string, more bool) string {
	shared := 0
	for shared < len(from) && shared < len(next) && from[shared] == next[shared] {
		shared++
	}
	a, b, limit := number(from[shared:]), number(next[shared:]), uint64(1)
	var text [digits]byte
	step := 3 * max(b-a, 1)
	if more {
		step -= step / 4
	}
	to := b + step
	for i := range text {
		text[digits-1-i] = alphabet[to/limit%radix]
		limit *= radix
	}
	if to >= limit || b < a { // to the end of what shares the prefix
		return clientv3.GetPrefixRangeEnd(next[:shared])
	}
	return next[:shared] + string(text[:])
}

// number is the start of a key as a number: that of the least one in the alphabet which is not less.
func number(key string) (n uint64) {
	for i := range digits {
		n *= radix
		if i < len(key) {
			n += rank(key[i])
		}
	}
	return n
}

// rank counts the characters of the alphabet that are less than c.
func rank(c byte) (n uint64) {
	for i := range len(alphabet) {
		if alphabet[i] < c {
			n++
		}
	}
	return n
}
