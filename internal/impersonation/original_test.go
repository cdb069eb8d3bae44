package impersonation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/impersonation"
)

func TestWithOriginal(t *testing.T) {
	target := &identity.Identity{Username: "target", UID: "9", Groups: []string{"ops", "system:authenticated"}, Extra: map[string][]string{
		"scopes": {"a"}, "ostiary.dev/original-user": {"forged"}, "OSTIARY.dev/x": {"forged"},
	}}
	requester := &identity.Identity{Username: "jane", UID: "1", Groups: []string{"dev", "", "system:authenticated"}, Extra: map[string][]string{
		"authentication.kubernetes.io/credential-id": {"JTI=4711"}, "department": {"secret"}, "ostiary.dev/original-user": {"nested"},
	}}
	targetBefore, requesterBefore := target.Clone(), requester.Clone()
	want := &identity.Identity{Username: "target", UID: "9", Groups: []string{"ops", "system:authenticated"}, Extra: map[string][]string{
		"scopes":                             {"a"},
		"ostiary.dev/original-user":          {"jane"},
		"ostiary.dev/original-uid":           {"1"},
		"ostiary.dev/original-groups":        {"dev", "system:authenticated"},
		"ostiary.dev/original-credential-id": {"JTI=4711"},
	}}
	if diff := cmp.Diff(want, impersonation.WithOriginal(target, requester)); diff != "" {
		t.Errorf("IMP-4, attacks 12, 30, 32: %s", diff)
	}
	if !cmp.Equal(target, targetBefore) || !cmp.Equal(requester, requesterBefore) {
		t.Error("an argument was changed")
	}
}

func TestWithOriginalOfNobodyElse(t *testing.T) {
	plain := &identity.Identity{Username: "jane", Extra: map[string][]string{"a": {"b"}}}
	if got := impersonation.WithOriginal(plain, plain); got != plain {
		t.Error("an identity without reserved extras was copied")
	}
	forging := &identity.Identity{Username: "jane", Extra: map[string][]string{"a": {"b"}, "ostiary.dev/original-user": {"admin"}}}
	if diff := cmp.Diff(plain, impersonation.WithOriginal(forging, forging)); diff != "" {
		t.Errorf("attack 12, a mechanism brings a reserved extra: %s", diff)
	}
	if len(forging.Extra) != 2 {
		t.Error("the argument was changed")
	}
}

func TestIsOwnExtra(t *testing.T) {
	for key, want := range map[string]bool{
		"ostiary.dev": true, "ostiary.dev/": true, "ostiary.dev/x": true, "Ostiary.Dev/x": true, "a.ostiary.dev/x": true,
		"ostiary.dev/a/b": true, "notostiary.dev/x": false, "ostiary.dev.example/x": false, "example.com/ostiary.dev": false, "": false, "dev/x": false,
	} {
		if got := identity.IsOwnExtra(key); got != want {
			t.Errorf("IsOwnExtra(%q) = %t", key, got)
		}
	}
}
