// Package keyring keeps small secrets in the keyring of the user's system, which is locked with the user's password and opened when they
// log in: the Secret Service on Linux (GNOME Keyring, KWallet, KeePassXC), the Keychain on macOS, the Credential Manager on Windows.
//
// Whoever runs programs as the same user can ask the keyring as this package does, unless the keyring asks the user first. It keeps
// secrets from disks, backups and other users.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	system "github.com/zalando/go-keyring"

	"github.com/ostiary/ostiary/internal/secret"
)

// service is under which the keyring's own program shows what is kept here.
const service = "ostiary"

const (
	// patience is for how long a keyring may take that has nobody to ask; they answer within milliseconds.
	patience = 15 * time.Second
	// personPatience is for how long one may that asks a person to unlock it.
	personPatience = 2 * time.Minute
)

// Why a keyring cannot be used.
var (
	// ErrNone says that there is none.
	ErrNone = errors.New("no keyring can be reached: on Linux, a Secret Service such as GNOME Keyring, KWallet or KeePassXC must run in your session; use --store agent, or --store file with a passphrase")
	// ErrLocked says that it was not unlocked.
	ErrLocked = errors.New("the keyring is locked: unlock it, for example by logging in at the desktop, and try again")
	// ErrSilent says that it does not answer.
	ErrSilent = errors.New("the keyring does not answer: it may wait for you to unlock it")
)

// Keyring is the user's. The zero value waits for nobody. It is safe for concurrent use.
type Keyring struct {
	// Person says that somebody is there who can unlock it.
	Person bool
}

// Get returns the secret of a name; found is false where there is none.
func (k Keyring) Get(ctx context.Context, name string) (value secret.String, found bool, err error) {
	text := ""
	err = k.ask(ctx, func() (err error) {
		text, err = system.Get(service, name)
		return err
	})
	if errors.Is(err, system.ErrNotFound) {
		return secret.String{}, false, nil
	} else if err != nil {
		return secret.String{}, false, err
	}
	return secret.New(text), true, nil
}

// Set keeps a secret, in the place of another one of its name.
func (k Keyring) Set(ctx context.Context, name string, value secret.String) error {
	return k.ask(ctx, func() error { return system.Set(service, name, value.Reveal()) })
}

// Delete removes a secret. What is not there is no error.
func (k Keyring) Delete(ctx context.Context, name string) error {
	if err := k.ask(ctx, func() error { return system.Delete(service, name) }); !errors.Is(err, system.ErrNotFound) {
		return err
	}
	return nil
}

// ask does something with the keyring, and says what is wrong with it where it fails. A keyring that does not answer is left alone: the
// process is about to end.
func (k Keyring) ask(ctx context.Context, do func() error) error {
	if err := reachable(); err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	limit := patience
	if k.Person {
		limit = personPatience
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w (waited %s)", ErrSilent, limit))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return explain(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// explain tells a locked keyring from none. The library has no errors for them.
func explain(err error) error {
	switch {
	case err == nil, errors.Is(err, system.ErrNotFound):
		return err
	case strings.Contains(err.Error(), "unlock"), strings.Contains(err.Error(), "locked"):
		return fmt.Errorf("%w (%w)", ErrLocked, err)
	default:
		return fmt.Errorf("%w (%w)", ErrNone, err)
	}
}
