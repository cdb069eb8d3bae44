package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ostiary/ostiary/internal/identity"
)

// unforwardable says why a value does not reach a cluster as it is, as the end of a sentence that starts with "it";
// empty when it does. An empty value is not judged here.
//
// Identities travel as header values, whichever way they are handed on (GW-4). Blanks at the ends are taken away on the
// way, so that " system:masters", which is no reserved name, would arrive as one. Control characters are refused, those
// beyond ASCII too: they are what log lines and terminals are attacked with. kube-apiserver takes bytes that are not
// UTF-8 and shows them as U+FFFD, so that two names look alike in its records (RH-12).
func unforwardable(value string) string {
	if strings.Trim(value, " \t") != value {
		return "starts or ends with a blank"
	}
	if !utf8.ValidString(value) {
		return "is not valid UTF-8"
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return "holds a control character"
	}
	return ""
}

// refuseUnforwardable refuses an identity that would not reach a cluster as it is (GW-4). Extra keys are escaped on the
// way (GW-2), so that only what confuses readers of records is refused in them.
func refuseUnforwardable(id *identity.Identity) *Refusal {
	refuse := func(what, value, why string) *Refusal {
		return &Refusal{Reason: ReasonUnforwardable, Detail: fmt.Sprintf("the %s %s %s", what, quote(value), why)}
	}
	if id.Username == "" {
		return refuse("user name", "", "is empty")
	}
	if why := unforwardable(id.Username); why != "" {
		return refuse("user name", id.Username, why)
	}
	if why := unforwardable(id.UID); why != "" {
		return refuse("uid", id.UID, why)
	}
	for _, group := range id.Groups {
		if why := unforwardable(group); why != "" {
			return refuse("group", group, why)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(id.Extra)) { // in order, so that the same one is always named
		if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
			return refuse("extra key", key, "is not valid UTF-8 or holds a control character")
		}
		for _, value := range id.Extra[key] {
			if why := unforwardable(value); why != "" {
				return refuse("value of extra "+quote(key), value, why)
			}
		}
	}
	return nil
}

// withoutEmpty copies groups without the empty ones.
func withoutEmpty(groups []string) []string {
	kept := make([]string, 0, len(groups))
	for _, group := range groups {
		if group != "" {
			kept = append(kept, group)
		}
	}
	return kept
}

// withoutEmptyKeys gives extra without the keys that have no values: extra itself, if it has none.
func withoutEmptyKeys(extra map[string][]string) map[string][]string {
	for _, values := range extra {
		if len(values) == 0 {
			kept := maps.Clone(extra)
			maps.DeleteFunc(kept, func(_ string, values []string) bool { return len(values) == 0 })
			return kept
		}
	}
	return extra
}
