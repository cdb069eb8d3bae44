package collect

import (
	"context"
	"encoding/pem"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/ostiary/ostiary/internal/facts"
)

// stored looks for credentials in the values of ConfigMaps and Secrets, where that was asked for.
func (g *Gatherer) stored(ctx context.Context, what *Live) {
	if what.ScanConfigMaps {
		found, _ := listInto(ctx, g, what.API, facts.SourceConfigMaps, Question{Path: "/api/v1/configmaps"}, "list configmaps",
			func(o *corev1.ConfigMap) ([]facts.StoredCredential, bool) {
				return credentialsIn("ConfigMap", o.Namespace, o.Name, o.Data), true
			})
		for _, credentials := range found {
			g.found.StoredCredentials = append(g.found.StoredCredentials, credentials...)
		}
	}
	if what.ScanSecrets {
		found, _ := listInto(ctx, g, what.API, facts.SourceSecrets, Question{Path: "/api/v1/secrets"}, "list secrets",
			func(o *corev1.Secret) ([]facts.StoredCredential, bool) {
				if o.Type == corev1.SecretTypeServiceAccountToken || o.Type == corev1.SecretTypeBootstrapToken {
					return nil, false // those are sources of their own
				}
				values := map[string]string{}
				for key, value := range o.Data {
					values[key] = string(value)
				}
				return credentialsIn("Secret", o.Namespace, o.Name, values), true
			})
		for _, credentials := range found {
			g.found.StoredCredentials = append(g.found.StoredCredentials, credentials...)
		}
	}
}

// credentialsIn finds kubeconfigs with a credential in them, and ServiceAccounts' tokens.
func credentialsIn(kind, namespace, name string, values map[string]string) []facts.StoredCredential {
	var all []facts.StoredCredential
	for key, value := range values {
		found := facts.StoredCredential{Kind: kind, Namespace: namespace, Name: name, Key: key}
		switch {
		case strings.Contains(value, "kind: Config") || strings.Contains(value, `"kind":"Config"`):
			subject, ok := heldIn([]byte(value))
			if !ok {
				continue
			}
			found.What, found.Subject = "kubeconfig", subject
		case strings.HasPrefix(strings.TrimSpace(value), "eyJ"):
			claims, ok := readClaims(strings.TrimSpace(value))
			if !ok || !strings.HasPrefix(claims.Subject, "system:serviceaccount:") {
				continue
			}
			found.What, found.Subject = "service account token", claims.Subject
		case strings.Contains(value, "BEGIN CERTIFICATE"):
			certificates, err := Certificates([]byte(value))
			if err != nil || !slices.ContainsFunc(certificates, isFrontProxy) || !hasKey(values) {
				continue
			}
			found.What, found.Subject = "front proxy key", certificates[0].CommonName
		default:
			continue
		}
		all = append(all, found)
	}
	slices.SortFunc(all, func(a, b facts.StoredCredential) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// isFrontProxy goes by the name that kubeadm and the documentation give the certificate.
func isFrontProxy(c facts.Certificate) bool { return c.CommonName == "front-proxy-client" }

func hasKey(values map[string]string) bool {
	for _, value := range values {
		for block, rest := pem.Decode([]byte(value)); block != nil; block, rest = pem.Decode(rest) {
			if strings.HasSuffix(block.Type, "PRIVATE KEY") {
				return true
			}
		}
	}
	return false
}

// heldIn says whose credential a kubeconfig holds in clear.
func heldIn(data []byte) (subject string, ok bool) {
	parsed, err := parseKubeconfig(data)
	if err != nil {
		return "", false
	}
	for _, user := range parsed.Users {
		switch {
		case len(user.User.KeyData) > 0:
			if certificates, err := Certificates(user.User.CertificateData); err == nil {
				return certificates[0].CommonName, true
			}
			return user.Name, true
		case user.User.Token != "" || user.User.Password != "":
			if claims, ok := readClaims(user.User.Token); ok {
				return claims.Subject, true
			}
			return user.Name, true
		}
	}
	return "", false
}
