package kubectl

import (
	"context"
	"errors"
	"os"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/agent"
	"github.com/ostiary/ostiary/internal/signin/sealed"
	"github.com/ostiary/ostiary/internal/signin/session"
)

// Where sessions are kept, as --store names it.
const (
	storeAgent = "agent"
	storeFile  = "file"
)

// passphraseFile is the variable that names a file with the passphrase, where nobody can type it in.
const passphraseFile = "OSTIARY_PASSPHRASE_FILE"

// openSealed asks for the passphrase and opens the store of encrypted files. With confirm, it is asked for twice.
func openSealed(streams genericiooptions.IOStreams, interactive, confirm bool) (*sealed.Store, error) {
	passphrase, err := readPassphrase(streams, interactive, confirm)
	if err != nil {
		return nil, err
	}
	store, err := sealed.Open(passphrase)
	if err != nil {
		return nil, exitWith(ExitFailed, "%w", err)
	}
	return store, nil
}

func readPassphrase(streams genericiooptions.IOStreams, interactive, confirm bool) (secret.String, error) {
	if path := os.Getenv(passphraseFile); path != "" {
		data, err := readBounded(path)
		if err != nil {
			return secret.String{}, exitWith(ExitFailed, "%s: %w", passphraseFile, err)
		}
		return secret.New(trimLine(string(data))), nil
	}
	if !interactive || !isTerminal(streams.In) {
		return secret.String{}, exitWith(ExitRefused, "the session is in an encrypted file, and nobody is there to type in its passphrase: use a terminal, or set %s", passphraseFile)
	}
	first, err := promptPassphrase(streams, "Passphrase: ")
	if err != nil || !confirm {
		return first, err
	}
	second, err := promptPassphrase(streams, "Once more: ")
	if err == nil && !first.Equal(second) {
		err = exitWith(ExitFailed, "the two passphrases differ")
	}
	return first, err
}

// trimLine takes the end of a line away, and nothing else: a passphrase may hold spaces.
func trimLine(text string) string {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}

// promptPassphrase has a person type without an echo.
func promptPassphrase(streams genericiooptions.IOStreams, prompt string) (secret.String, error) {
	if err := write(streams.ErrOut, prompt); err != nil {
		return secret.String{}, err
	}
	file, ok := streams.In.(*os.File)
	if !ok {
		return secret.String{}, exitWith(ExitFailed, "the passphrase needs a terminal")
	}
	typed, err := term.ReadPassword(int(file.Fd()))
	if writeErr := write(streams.ErrOut, "\n"); err == nil {
		err = writeErr
	}
	if err != nil {
		return secret.String{}, exitWith(ExitFailed, "cannot read the passphrase: %w", err)
	}
	return secret.New(string(typed)), nil
}

// sealedCredential is fetchCredential without an agent: from the session's encrypted file.
func sealedCredential(ctx context.Context, chosen *credentialFlags, asked *execCredential, address signin.Address, streams genericiooptions.IOStreams) (*agent.Handed, error) {
	store, err := openSealed(streams, asked.Spec.Interactive, false)
	if err != nil {
		return nil, err
	}
	kept, err := store.Credential(ctx, chosen.session)
	if errors.Is(err, session.ErrNone) || errors.Is(err, session.ErrEnded) {
		if !asked.Spec.Interactive || chosen.provider == "" {
			return nil, exitWith(ExitRefused, "%w: run \"kubectl ostiary login --server %s --store file\"", err, address.URL)
		}
		err = store.Lock(chosen.session, func() error {
			if kept, err = store.Get(chosen.session); err == nil {
				return nil // somebody was faster
			}
			return bringSession(ctx, chosen, address, streams, func(s *session.Session) error {
				kept = s
				return store.Put(s)
			})
		})
	}
	if err != nil {
		return nil, err
	}
	return &agent.Handed{Certificate: kept.Certificate, Key: kept.Key.Reveal(), NotAfter: kept.NotAfter, Address: kept.Address, Username: kept.Username}, nil
}

// leaveSealed ends the sessions in encrypted files at a gate, or at all where gate is empty. With local it needs no passphrase.
func leaveSealed(ctx context.Context, gate string, local bool, streams genericiooptions.IOStreams) ([]agent.Left, error) {
	all, err := sealed.List()
	if err != nil {
		return nil, err
	}
	var store *sealed.Store
	var lefts []agent.Left
	for _, one := range all {
		if gate != "" && one.Gate != gate {
			continue
		}
		left := agent.Left{Name: one.Name, Gate: one.Gate}
		if !local {
			if store == nil {
				if store, err = openSealed(streams, true, false); err != nil {
					return lefts, err
				}
			}
			kept, err := store.Get(one.Name)
			if err != nil {
				return lefts, exitWith(ExitFailed, "%w; --local removes the file without telling the gate", err)
			}
			left.Username, left.Session = kept.Username, kept.Session
			if err := kept.End(ctx); err != nil {
				left.Problem, left.Until = err.Error(), kept.NotAfter
			} else {
				left.Told = true
			}
		}
		if err := sealed.Remove(one.Name); err != nil {
			return lefts, err
		}
		lefts = append(lefts, left)
	}
	return lefts, nil
}
