package fromapiserver

import (
	"fmt"
	"path"
	"strings"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/config"
)

// Result is a configuration and what its reader must know.
type Result struct {
	// YAML is the configuration, with comments.
	YAML []byte
	// Warnings name what is not as it is at the API server, one sentence each.
	Warnings []string
}

// ReadFile returns the content of a file on the API server's host, or an error if it cannot be read here.
type ReadFile func(name string) ([]byte, error)

// Convert reads a manifest, a kubeadm configuration or flags, and writes a configuration that accepts the same
// credentials, as far as Ostiary can. It reads the files that the flags name where that decides something; none of them
// has to be readable.
func Convert(input []byte, readFile ReadFile) (*Result, error) {
	found, err := apiserverflags.Read(input)
	if err != nil {
		return nil, err
	}
	f, warnings, err := parse(found)
	if err != nil {
		return nil, err
	}
	c := &converter{
		source: found, flags: f, readFile: readFile, warnings: warnings,
		written:  config.Configuration{APIVersion: config.APIVersion, Kind: config.Kind},
		comments: map[string]string{},
	}
	c.cluster()
	c.listen()
	if err := c.authentication(); err != nil {
		return nil, err
	}
	c.notTaken()
	text, err := c.written.YAML(c.comments)
	if err != nil {
		return nil, err
	}
	if _, err := config.Decode(text); err != nil {
		return nil, fmt.Errorf("what was written cannot be read back; please report this with the input: %w", err)
	}
	return &Result{YAML: text, Warnings: c.warnings}, nil
}

// converter fills in a configuration, part by part.
type converter struct {
	source   *apiserverflags.Source
	flags    *flags
	readFile ReadFile
	written  config.Configuration
	comments map[string]string
	warnings []string
}

// comment puts lines above the field at path. Outside text in them must be quoted with %q.
func (c *converter) comment(path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if before, ok := c.comments[path]; ok {
		text = before + "\n" + text
	}
	c.comments[path] = text
}

func (c *converter) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// file translates a flag's file name to the host that Ostiary runs on.
func (c *converter) file(flag, name string) string {
	host, mounted := c.source.OnHost(name)
	switch {
	case !path.IsAbs(name):
		c.warn("--%s=%q is relative to the folder in which kube-apiserver runs: correct it in the configuration, where names are relative to the configuration's folder", flag, name)
	case !mounted:
		c.warn("--%s=%q is in no folder that the pod shares with its host: copy it out of the container and correct its name", flag, name)
	}
	return host
}

// notTaken says at the head of the file, and as warnings, which callers will no longer come in.
func (c *converter) notTaken() {
	f := c.flags
	var missing []string
	if f.requestHeaderCAFile != "" {
		missing = append(missing, "headers of other authenticating proxies (--requestheader-client-ca-file), such as the aggregation layer's: authentication.proxyHeader takes them, from a CA of its own")
	}
	missing = append(missing, "ServiceAccount tokens, so pods and controllers that would call through Ostiary: clusters[].access with serviceAccounts, and authentication.tokenRequest, take them")
	if f.bootstrapTokens {
		missing = append(missing, "bootstrap tokens (--enable-bootstrap-token-auth), so nodes that join through Ostiary: clusters[].access and authentication.bootstrapToken take them")
	}
	if f.webhookConfigFile != "" {
		missing = append(missing, "tokens that a webhook judges (--authentication-token-webhook-config-file): authentication.webhook takes the same file, unless that webhook is Ostiary itself")
	}
	for _, what := range missing {
		c.warn("not taken over: %s: callers with these credentials will get 401 through Ostiary", what)
	}
	c.comment("", `Written by "ostiary config from-apiserver" from %s.
It accepts credentials as that API server does, and is no stricter yet. The comments name the points of the hardening
guide (G-..) and what each would change. Check it with: ostiary config validate --config <this file>

Not taken over; callers with these credentials will get 401 through Ostiary:
- %s`, c.source.What, strings.Join(missing, "\n- "))
}
