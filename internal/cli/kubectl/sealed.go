package kubectl

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/secret"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/agent"
	"github.com/ostiary/ostiary/internal/signin/keyring"
	"github.com/ostiary/ostiary/internal/signin/sealed"
	"github.com/ostiary/ostiary/internal/signin/session"
)

// Where sessions are kept, as --store names it.
const (
	storeAgent   = "agent"
	storeFile    = "file"
	storeKeyring = "keyring"
)

// checkStore refuses a --store that is none.
func checkStore(store string) error {
	if store != storeAgent && store != storeFile && store != storeKeyring {
		return exitWith(ExitFailed, "--store %q: must be %s, %s or %s", store, storeAgent, storeFile, storeKeyring)
	}
	return nil
}

// passphraseFile is the variable that names a file with the passphrase, where nobody can type it in.
const passphraseFile = "OSTIARY_PASSPHRASE_FILE"

// openSealed opens the store of encrypted files. Where that takes a passphrase, it asks for it, with confirm twice.
func openSealed(store string, streams genericiooptions.IOStreams, interactive, confirm bool) (*sealed.Store, error) {
	if store == storeKeyring {
		return sealed.OpenKeyring(keyring.Keyring{Person: interactive})
	}
	passphrase, err := readPassphrase(streams, interactive, confirm)
	if err != nil {
		return nil, err
	}
	opened, err := sealed.Open(passphrase)
	if err != nil {
		return nil, exitWith(ExitFailed, "%w", err)
	}
	return opened, nil
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
	store, err := openSealed(chosen.store, streams, asked.Spec.Interactive, false)
	if err != nil {
		return nil, err
	}
	kept, err := store.Credential(ctx, chosen.session)
	if errors.Is(err, session.ErrNone) || errors.Is(err, session.ErrEnded) {
		if !asked.Spec.Interactive || chosen.provider == "" {
			return nil, exitWith(ExitRefused, "%w: run \"kubectl ostiary login --server %s --store %s\"", err, address.URL, chosen.store)
		}
		err = store.Lock(chosen.session, func() error {
			if kept, err = store.Get(ctx, chosen.session); err == nil {
				return nil // somebody was faster
			}
			return bringSession(ctx, chosen, address, streams, func(s *session.Session) error {
				kept = s
				return store.Put(ctx, s)
			})
		})
	}
	if err != nil {
		return nil, err
	}
	return agent.Hand(kept), nil
}

// leaveSealed ends the sessions in encrypted files at a gate, or at all where gate is empty. With local it needs no passphrase.
func leaveSealed(ctx context.Context, gate string, local bool, streams genericiooptions.IOStreams) ([]agent.Left, error) {
	all, err := sealed.List()
	if err != nil {
		return nil, err
	}
	stores := map[bool]*sealed.Store{} // by whether the keyring has the keys
	ring := keyring.Keyring{Person: isTerminal(streams.In)}
	var lefts []agent.Left
	for _, one := range all {
		if gate != "" && one.Gate != gate {
			continue
		}
		left := agent.Left{Name: one.Name, Gate: one.Gate}
		if !local {
			if stores[one.Keyring] == nil {
				if stores[one.Keyring], err = openSealed(storeOf(one), streams, true, false); err != nil {
					return lefts, err
				}
			}
			if err := leaveOneSealed(ctx, stores[one.Keyring], &left); err != nil {
				return lefts, err
			}
		}
		if err := sealed.Remove(ctx, one, ring); err != nil && !local {
			return lefts, err
		} else if err != nil {
			if err := say(streams, "%v", err); err != nil { // without its file, the key opens nothing
				return lefts, err
			}
		}
		lefts = append(lefts, left)
	}
	return lefts, nil
}

// leaveOneSealed tells the gate of the end of a session in an encrypted file. What nobody can open any more ends by itself.
func leaveOneSealed(ctx context.Context, store *sealed.Store, left *agent.Left) error {
	kept, err := store.Get(ctx, left.Name)
	if err != nil && !errors.Is(err, session.ErrNone) {
		return exitWith(ExitFailed, "%w; --local removes the file without telling the gate", err)
	}
	if err == nil {
		left.Username, left.Session, left.Until = kept.Username, kept.Session, kept.NotAfter
		err = kept.End(ctx)
	}
	if left.Told = err == nil; left.Told {
		left.Until = time.Time{}
	} else {
		left.Problem = err.Error()
	}
	return nil
}

// storeOf is the --store that a session was made with.
func storeOf(kept sealed.Kept) string {
	if kept.Keyring {
		return storeKeyring
	}
	return storeFile
}
