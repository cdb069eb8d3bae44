package apiserverflags

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// kind is how a flag's value is written.
type kind int

const (
	text kind = iota + 1
	boolean
	list  // values separated by commas, and the flag may be repeated
	array // one value each time
	mapping
	duration
)

// known are the flags that decide who comes in, how they are protected on the way, and what is written down of it. All
// others are left out: they may hold what is nobody's business, such as an etcd server's address with a password in it.
// Names and kinds are those of kubernetes/pkg/kubeapiserver/options and k8s.io/apiserver/pkg/server/options.
func known() map[string]kind {
	return map[string]kind{
		"admission-control": list, "enable-admission-plugins": list, "disable-admission-plugins": list,
		"advertise-address": text, "bind-address": text, "secure-port": text,
		"anonymous-auth": boolean, "api-audiences": list,
		"audit-log-path": text, "audit-policy-file": text, "audit-webhook-config-file": text,
		"authentication-config":                    text,
		"authentication-token-webhook-cache-ttl":   duration,
		"authentication-token-webhook-config-file": text, "authentication-token-webhook-version": text,
		"authorization-config": text, "authorization-mode": list, "authorization-webhook-config-file": text,
		"client-ca-file": text, "cert-dir": text,
		"enable-bootstrap-token-auth": boolean, "encryption-provider-config": text,
		"etcd-cafile":                text,
		"kubelet-client-certificate": text, "kubelet-certificate-authority": text,
		"oidc-ca-file": text, "oidc-client-id": text, "oidc-groups-claim": text, "oidc-groups-prefix": text,
		"oidc-issuer-url": text, "oidc-required-claim": mapping, "oidc-signing-algs": list,
		"oidc-username-claim": text, "oidc-username-prefix": text,
		"profiling": boolean, "proxy-client-cert-file": text, "proxy-client-key-file": text,
		"requestheader-allowed-names": list, "requestheader-client-ca-file": text,
		"requestheader-extra-headers-prefix": list, "requestheader-group-headers": list,
		"requestheader-uid-headers": list, "requestheader-username-headers": list,
		"service-account-extend-token-expiration": boolean, "service-account-issuer": array,
		"service-account-jwks-uri": text, "service-account-key-file": array, "service-account-lookup": boolean,
		"service-account-max-token-expiration": duration, "service-account-signing-endpoint": text,
		"service-account-signing-key-file": text,
		"tls-cert-file":                    text, "tls-cipher-suites": list, "tls-min-version": text, "tls-private-key-file": text,
		"token-auth-file": text,
	}
}

// Values are flags that were set, by name without dashes. A flag that is not there has kube-apiserver's own default,
// which the methods know where they say so. Values are not changed after they were made.
type Values map[string][]string

// Parse reads the source's flags as kube-apiserver would.
func Parse(s *Source) (Values, error) {
	set := pflag.NewFlagSet(Program, pflag.ContinueOnError)
	set.SetOutput(io.Discard) // what is wrong is returned
	set.Usage = func() {}
	set.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	set.ParseErrorsAllowlist.UnknownFlags = true // most of kube-apiserver's flags are about other things
	lists := map[string]*[]string{}
	for name, kind := range known() {
		switch kind {
		case boolean:
			set.Bool(name, false, "")
		case list:
			lists[name] = set.StringSlice(name, nil, "")
		case array, mapping:
			lists[name] = set.StringArray(name, nil, "")
		case duration:
			set.Duration(name, 0, "")
		case text:
			set.String(name, "", "")
		}
	}
	if err := set.Parse(s.Args); err != nil {
		return nil, fmt.Errorf("reading the flags of %s as kube-apiserver would: %w", s.What, err)
	}
	found := Values{}
	set.Visit(func(flag *pflag.Flag) {
		if values, ok := lists[flag.Name]; ok {
			found[flag.Name] = append([]string{}, *values...)
			return
		}
		found[flag.Name] = []string{flag.Value.String()}
	})
	return found, nil
}

// FromEffective takes values as /flagz shows them: every flag, with its default where none was set.
func FromEffective(flags map[string]string) Values {
	found := Values{}
	for name, kind := range known() {
		value, ok := flags[name]
		if !ok {
			continue
		}
		switch kind {
		case list, array:
			// pflag shows "[a,b]".
			value = strings.TrimSuffix(strings.TrimPrefix(value, "["), "]")
			if value != "" {
				found[name] = strings.Split(value, ",")
			} else {
				found[name] = []string{}
			}
		case mapping:
			if value != "" {
				found[name] = strings.Split(value, ",")
			}
		case text, boolean, duration:
			found[name] = []string{value}
		}
	}
	return found
}

// Set reports whether the flag was given.
func (v Values) Set(name string) bool {
	_, ok := v[name]
	return ok
}

// Text is the value of a flag that has one, or the given default.
func (v Values) Text(name, fallback string) string {
	values, ok := v[name]
	if !ok || len(values) == 0 {
		return fallback
	}
	return values[len(values)-1]
}

// Bool is the value of a flag that is on or off, or the given default.
func (v Values) Bool(name string, fallback bool) bool {
	values, ok := v[name]
	if !ok || len(values) == 0 {
		return fallback
	}
	return values[len(values)-1] == "true"
}

// Duration is the value of a flag that is a length of time, or the given default; the latter too for one that cannot
// be read, which Parse refuses.
func (v Values) Duration(name string, fallback time.Duration) time.Duration {
	parsed, err := time.ParseDuration(v.Text(name, ""))
	if err != nil {
		return fallback
	}
	return parsed
}
