package registrar_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/authn/issued"
	"github.com/ostiary/ostiary/internal/issuer"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/registrar"
)

// Where a process is killed, beside the steps of an issue: around a transaction.
const (
	beforeIssue, afterIssue     = "before the transaction of an issue", "after the transaction of an issue"
	beforeIssuer, afterIssuer   = "before that of an issuing key", "after that of an issuing key"
	beforeLogout, afterLogout   = "before that of a logout", "after that of a logout"
	killVariable, folderOfAKill = "OSTIARY_TEST_KILL_AT", "OSTIARY_TEST_KILL_IN"
)

func TestMain(m *testing.M) {
	if at := os.Getenv(killVariable); at != "" {
		die(at, os.Getenv(folderOfAKill))
		os.Exit(3) // it was to be killed
	}
	os.Exit(m.Run())
}

// killer is a store that kills the process around a transaction, once it is armed.
type killer struct {
	ledger.Store
	armed *bool
	at    string
}

// Commit implements ledger.Store.
func (k killer) Commit(ctx context.Context, t ledger.Transaction) (int64, error) {
	before, after := "", ""
	for _, record := range t.Puts {
		switch {
		case strings.HasPrefix(record.Key, ledger.IssuedPrefix):
			before, after = beforeIssue, afterIssue
		case strings.HasPrefix(record.Key, ledger.IssuerPrefix):
			before, after = beforeIssuer, afterIssuer
		case strings.HasPrefix(record.Key, ledger.SessionPrefix) && before == "":
			before, after = beforeLogout, afterLogout
		}
	}
	if *k.armed && k.at == before {
		kill()
	}
	revision, err := k.Store.Commit(ctx, t)
	if *k.armed && k.at == after {
		kill()
	}
	return revision, err
}

// kill ends the process as a power cut does. It does not return.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// child makes of a program what a test's helpers want.
type child struct{ testing.TB }

func (child) Helper()                   {}
func (child) Cleanup(func())            {}
func (child) Context() context.Context  { return context.Background() }
func (child) Error(args ...any)         { child{}.Fatal(args...) }
func (child) Fatalf(f string, a ...any) { child{}.Fatal(fmt.Sprintf(f, a...)) }
func (child) Fatal(args ...any) {
	_, _ = fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// die issues, says what it has issued, and is killed at a point of the next issue.
func die(at, folder string) {
	t, armed := child{}, false
	o := open(t, killer{openStore(t, folder), &armed, at}, rootIn(t, folder), "", func(point string) error {
		if armed && point == at {
			kill()
		}
		return nil
	})
	say := func(what string, der []byte) { _, _ = fmt.Fprintln(os.Stdout, what, hex.EncodeToString(der)) }
	stays, ends, leaves := o.issue(t, "jane"), o.issue(t, "joe"), o.issue(t, "ann")
	for _, made := range []*registrar.Issued{stays, ends, leaves} {
		say("issued", made.Leaf.Raw)
	}
	if err := o.End(t.Context(), registrar.WhyLogout, time.Now(), o.book.Session(ends.Credential.Session)); err != nil {
		t.Fatal(err)
	}
	say("ended", ends.Leaf.Raw)
	draft, err := o.authority.Draft(issuer.Order{ID: issuer.NewID(), Username: "admin", Key: newKey(t).Public(), NotAfter: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unrecorded, err := draft.Sign()
	if err != nil {
		t.Fatal(err)
	}
	say("unrecorded", unrecorded.Raw)
	armed = true
	switch at {
	case beforeLogout, afterLogout:
		_ = o.End(t.Context(), registrar.WhyLogout, time.Now(), o.book.Session(leaves.Credential.Session))
		say("ended", leaves.Leaf.Raw)
	case beforeIssuer, afterIssuer:
		_ = open(t, killer{o.store, &armed, at}, o.root, "", nil)
	default:
		if made, err := o.Certificate(t.Context(), order(t, person("late")), time.Now()); err == nil {
			say("issued", made.Leaf.Raw)
		}
	}
}

// TestKilledAtEveryStep kills a process at twelve points, and starts another on what it left: nothing counts that is not on record,
// and nothing is lost that somebody was told of.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	points := append(registrar.Points(), beforeIssue, afterIssue, beforeIssuer, afterIssuer, beforeLogout, afterLogout)
	if len(points) != 12 {
		t.Fatalf("%d points", len(points))
	}
	recorded := map[string]bool{registrar.PointCommitted: true, registrar.PointSigned: true, registrar.PointReleased: true, afterIssue: true}
	for _, at := range points {
		t.Run(at, func(t *testing.T) {
			folder := t.TempDir()
			said := killedAt(t, at, folder)
			if len(said["issued"]) != 3 || len(said["ended"]) != 1 || len(said["unrecorded"]) != 1 {
				t.Fatalf("it said %d, %d, %d", len(said["issued"]), len(said["ended"]), len(said["unrecorded"]))
			}
			o := open(t, openStore(t, folder), rootIn(t, folder), "", nil)
			over := said["ended"][0]
			for i, leaf := range said["issued"] {
				wanted := !leaf.Equal(over) && (at != afterLogout || i != 2)
				if err := o.admits(shown(leaf)); (err == nil) != wanted {
					t.Errorf("%s: it counts: %t, wanted %t: %v", leaf.Subject.CommonName, err == nil, wanted, err)
				}
			}
			if err := o.admits(shown(said["unrecorded"][0])); !errors.Is(err, issued.ErrForged) {
				t.Errorf("what is not on record: %v", err)
			}
			entries := 0
			if _, _, err := o.ledger.Entries(t.Context(), "", func(one *ledger.Standing) bool {
				if one.Origin == ledger.Issued {
					entries++
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
			want := 3
			if recorded[at] {
				want++
			}
			if _, credentials, _ := o.book.Count(); entries != want || credentials != want {
				t.Errorf("%d entries, %d credentials, wanted %d of both", entries, credentials, want)
			}
			if err := o.admits(shown(o.issue(t, "after").Leaf)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// killedAt runs a process that is killed at a point, and returns the certificates that it told of.
func killedAt(t *testing.T, at, folder string) map[string][]*x509.Certificate {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), killVariable+"="+at, folderOfAKill+"="+folder)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	err := command.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it was not killed: %v\n%s", err, problems.String())
	}
	said := make(map[string][]*x509.Certificate)
	for lines := bufio.NewScanner(&out); lines.Scan(); {
		what, text, _ := strings.Cut(lines.Text(), " ")
		der, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		said[what] = append(said[what], leaf)
	}
	return said
}
