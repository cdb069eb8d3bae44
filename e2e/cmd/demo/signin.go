package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// signInDeadline bounds a sign-in, with the person's part.
	signInDeadline = time.Minute
	// peopleLifetime is how long a person's certificate is good; it is renewed by itself.
	peopleLifetime = time.Hour
)

// issuer makes the gate's own CA, and returns the parts of the configuration that let people sign in.
func (w *world) issuer(ctx context.Context, dir string) (issuer, signIn gate.Object, err error) {
	root, providerCA := filepath.Join(dir, "issuer.pem"), filepath.Join(dir, "provider-ca.pem")
	w.text("People who sign in get certificates of a CA of Ostiary's own, which no API server trusts.")
	w.command("ostiary issuer new-root issuer.pem")
	out, err := exec.CommandContext(ctx, w.paths[binaries.Ostiary], "issuer", "new-root", root).CombinedOutput() //nolint:gosec // just built
	if err != nil {
		return nil, nil, fmt.Errorf("ostiary issuer new-root: %w\n%s", err, out)
	}
	w.output(string(out))
	if err := pki.WriteFile(providerCA, w.provider.CA); err != nil {
		return nil, nil, err
	}
	return gate.Object{"rootFile": root}, gate.Object{
		"people": gate.Object{"lifetime": peopleLifetime.String()},
		"providers": []any{gate.Object{
			"name": "demo", "issuer": w.provider.Issuer, "clientID": w.provider.ClientID, "certificateAuthorityFile": providerCA,
		}},
	}, nil
}

// home is where jane works: a home directory and an environment that hold nothing else.
func (s *story) home() (k kubectl.Command, gateCA string, err error) {
	home, err := s.folder("jane")
	if err != nil {
		return k, "", err
	}
	run := filepath.Join(home, "run")
	if err := os.Mkdir(run, folderMode); err != nil {
		return k, "", err
	}
	gateCA = filepath.Join(home, "gate-ca.crt")
	if err := pki.WriteFile(gateCA, s.gate.CA); err != nil {
		return k, "", err
	}
	k = kubectl.Command{
		Path: s.paths[binaries.Kubectl], Kubeconfig: filepath.Join(home, "kubeconfig"), PluginDir: filepath.Dir(s.paths[binaries.KubectlOstiary]),
	}
	return k.With("XDG_RUNTIME_DIR=" + run), gateCA, nil
}

// signIn shows a person who has no credential at all, signs in, works and signs out.
func (s *story) signIn(ctx context.Context, chapter int) error {
	s.heading(chapter, "Sign in: a credential that nobody handles")
	s.text("Jane has no certificate and no token. She signs in at the OpenID Connect provider, from a machine without a browser:")
	k, gateCA, err := s.home()
	if err != nil {
		return err
	}
	args := []string{"ostiary", "login", "--server=" + s.gate.URL, "--certificate-authority=" + gateCA}
	s.stops = append(s.stops, func() error { // ends the agent, which keeps the key
		_, err := k.Run(context.WithoutCancel(ctx), "ostiary", "logout", "--all", "--local")
		return err
	})
	if err := s.login(ctx, k, append(args, "--flow=device", "--no-browser")...); err != nil {
		return err
	}
	s.text("Her kubeconfig names a program to ask, and holds no key:")
	written, err := s.run(ctx, k, "config", "view", "--minify", "--raw", "--output=jsonpath={.users[0].user}")
	if err != nil {
		return err
	}
	s.check(strings.Contains(written.Stdout, `"exec"`) && !strings.Contains(written.Stdout, "client-key") && !strings.Contains(written.Stdout, "PRIVATE KEY"),
		"the key is in the memory of her agent, and in no file")
	who, err := s.run(ctx, k, "auth", "whoami")
	if err != nil {
		return err
	}
	s.check(who.ExitCode == 0 && strings.Contains(who.Stdout, person) && strings.Contains(who.Stdout, group), "the API server sees "+person+", member of "+group)
	mine, err := s.run(ctx, k, "ostiary", "whoami")
	if err != nil {
		return err
	}
	s.check(mine.ExitCode == 0 && strings.Contains(mine.Stdout, "OSTIARY="), "the certificate is good for an hour, is renewed by itself, and is on record by its id")
	out, err := s.run(ctx, k, "ostiary", "logout")
	if err != nil {
		return err
	}
	s.check(out.ExitCode == 0, "signed out: the gate has shut out what it issued")
	refused, err := s.run(ctx, k, "auth", "whoami")
	if err != nil {
		return err
	}
	s.check(refused.ExitCode != 0, "nothing works any more until she signs in again")
	s.invitation = append(s.invitation,
		"sign in yourself, as "+person+" with the password "+s.password+":",
		"  export KUBECONFIG=/tmp/demo-kubeconfig PATH="+k.PluginDir+":$PATH",
		"  "+k.Path+" "+strings.Join(args, " ")+"   # a browser opens; --flow=device where there is none",
		"  "+k.Path+" auth whoami && "+k.Path+" ostiary logout",
	)
	return nil
}

// login runs a login, and does what the person does at the page that it names.
func (s *story) login(ctx context.Context, k kubectl.Command, args ...string) error {
	s.command("kubectl " + strings.Join(args, " "))
	ctx, cancel := context.WithTimeout(ctx, signInDeadline)
	defer cancel()
	login, err := k.Start(ctx, args...)
	if err != nil {
		return err
	}
	defer login.Stop()
	if err := login.WaitFor(ctx, "user_code="); err != nil {
		return err
	}
	address := regexp.MustCompile(`https://\S+user_code=\S+`).FindString(login.Output())
	if err := s.provider.LetIn(ctx, address, person, s.password); err != nil {
		return err
	}
	if err := login.Wait(ctx); err != nil {
		return errors.Join(err, errors.New(login.Output()))
	}
	s.output(login.Output())
	s.check(true, "signed in: she gave her password to the provider alone, on its own page")
	return nil
}
