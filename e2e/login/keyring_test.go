package login_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/debian"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

// busConfiguration is a session bus that starts nothing by itself: without a keyring, there is none.
const busConfiguration = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=BUS</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>
`

// ringPassword unlocks the keyring.
const ringPassword = "of-the-keyring-alone"

// desktop is a person's session bus, on which a keyring may run.
type desktop struct {
	p       *person
	keyring *exec.Cmd
}

// logOn starts a session bus for the person.
func (p *person) logOn() *desktop {
	p.t.Helper()
	bus, err := debian.Program(p.t.Context(), os.Stderr, "dbus-daemon", []string{"dbus"}, []string{"/usr/bin/dbus-send"})
	if err != nil {
		p.t.Fatal(err)
	}
	socket, configuration := filepath.Join(p.runtime, "bus"), filepath.Join(p.t.TempDir(), "bus.conf")
	if err := pki.WriteFile(configuration, []byte(strings.ReplaceAll(busConfiguration, "BUS", socket))); err != nil {
		p.t.Fatal(err)
	}
	p.more = append(p.more, "DBUS_SESSION_BUS_ADDRESS=unix:path="+socket)
	d := &desktop{p: p}
	d.start(nil, bus, "--nofork", "--config-file="+configuration)
	d.until("the session bus answers", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetId")
	return d
}

// start runs a program of the session until the test ends.
func (d *desktop) start(stdin []byte, program string, args ...string) *exec.Cmd {
	d.p.t.Helper()
	command := exec.CommandContext(context.Background(), program, args...)
	command.Env, command.Dir, command.Stdin = d.p.env(), d.p.home, bytes.NewReader(stdin)
	if err := command.Start(); err != nil {
		d.p.t.Fatal(err)
	}
	d.p.t.Cleanup(func() { end(command) })
	return command
}

// end ends a program, unless it has.
func end(command *exec.Cmd) {
	_ = command.Process.Kill()
	_ = command.Wait()
}

// until waits until a call on the bus succeeds, and its answer holds a text if the last argument is one.
func (d *desktop) until(what string, call ...string) {
	d.p.t.Helper()
	want := ""
	if last := call[len(call)-1]; strings.HasPrefix(last, "want:") {
		want, call = strings.TrimPrefix(last, "want:"), call[:len(call)-1]
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; <-tick.C {
		command := exec.CommandContext(d.p.t.Context(), "dbus-send", append([]string{"--session", "--print-reply"}, call...)...)
		command.Env = d.p.env()
		out, err := command.CombinedOutput()
		if err == nil && strings.Contains(string(out), want) {
			return
		}
		if time.Since(begun) > deadline {
			d.p.t.Fatalf("not true: %s: %v\n%s", what, err, out)
		}
	}
}

// run starts the person's keyring, in the place of the one that runs: unlocked by their password, or locked as it is before they typed
// that in.
func (d *desktop) run(unlocked bool) {
	d.p.t.Helper()
	daemon, err := debian.Program(d.p.t.Context(), os.Stderr, "gnome-keyring-daemon", []string{"gnome-keyring"}, nil)
	if err != nil {
		d.p.t.Fatal(err)
	}
	if d.keyring != nil {
		end(d.keyring)
	}
	if unlocked {
		d.keyring = d.start([]byte(ringPassword), daemon, "--foreground", "--components=secrets", "--unlock")
	} else {
		d.keyring = d.start(nil, daemon, "--foreground", "--components=secrets", "--start")
	}
	d.until("the keyring answers", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets", "org.freedesktop.DBus.Properties.Get",
		"string:org.freedesktop.Secret.Service", "string:Collections", "want:/collection/login")
}

// TestKeyring keeps a session in a file whose key is in a real keyring: without that, or while it is locked, the file is of no use.
func TestKeyring(t *testing.T) {
	p := settle(t, open(t, nil))
	refused := func(want string) {
		t.Helper()
		out, err := p.try(binaries.KubectlOstiary, "login", "--server", p.at.URL, "--certificate-authority", p.at.caFile, "--no-browser", "--store", "keyring")
		if err == nil || !strings.Contains(out, want) || strings.Contains(out, "authorize") {
			t.Errorf("login: %v\n%s\nwant it to fail with %q, and before anybody signs in", err, out, want)
		}
	}
	refused("this session has no message bus")
	d := p.logOn()
	refused("no keyring can be reached")

	d.run(true)
	p.signIn("--store", "keyring")
	for _, cluster := range []string{"prod", "test"} {
		if got := p.whoAmI(cluster); !strings.HasPrefix(got, "jane ") {
			t.Errorf("%s: %s", cluster, got)
		}
	}
	if p.hasAgent() {
		t.Error("an agent runs")
	}
	copied := p.handed()
	p.searchForSecrets(copied)
	p.searchFor("AGE-SECRET-KEY", ringPassword)

	d.run(false)
	p.fails("prod", "the keyring is locked")
	if out, err := p.try(binaries.KubectlOstiary, "logout"); err == nil || !strings.Contains(out, "the keyring is locked") {
		t.Errorf("logout while it is locked: %v\n%s", err, out)
	}
	d.run(true)
	if got := p.whoAmI("prod"); !strings.HasPrefix(got, "jane ") {
		t.Errorf("unlocked again: %s", got)
	}

	files, err := filepath.Glob(filepath.Join(p.home, ".local", "state", "ostiary", "*.keyring"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	backup, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	p.must(binaries.KubectlOstiary, "logout")
	if got := p.status(copied); got != http.StatusUnauthorized {
		t.Errorf("after logout a copy of the certificate gets status %d", got)
	}
	if err := os.WriteFile(files[0], backup, 0o600); err != nil {
		t.Fatal(err)
	}
	p.fails("prod", "the keyring has no key for it") // a copy of the file that a backup has opens no more
}
