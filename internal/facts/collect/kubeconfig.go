package collect

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/facts"
)

// kubeconfigFile is a kubeconfig (client.authentication's Config, v1).
type kubeconfigFile struct {
	Kind           string `json:"kind"`
	CurrentContext string `json:"current-context"`
	Clusters       []struct {
		Name    string `json:"name"`
		Cluster struct {
			Server   string `json:"server"`
			Insecure bool   `json:"insecure-skip-tls-verify"`
			CA       string `json:"certificate-authority"`
			CAData   []byte `json:"certificate-authority-data"`
			ProxyURL string `json:"proxy-url"`
		} `json:"cluster"`
	} `json:"clusters"`
	Contexts []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster string `json:"cluster"`
			User    string `json:"user"`
		} `json:"context"`
	} `json:"contexts"`
	Users []struct {
		Name string `json:"name"`
		User struct {
			Certificate     string `json:"client-certificate"`
			CertificateData []byte `json:"client-certificate-data"`
			Key             string `json:"client-key"`
			KeyData         []byte `json:"client-key-data"`
			Token           string `json:"token"`
			TokenFile       string `json:"tokenFile"`
			Username        string `json:"username"`
			Password        string `json:"password"`
			As              string `json:"as"`
			AuthProvider    *struct {
				Name   string            `json:"name"`
				Config map[string]string `json:"config"`
			} `json:"auth-provider"`
			Exec *struct {
				Command string   `json:"command"`
				Args    []string `json:"args"`
				Env     []struct {
					Name  string `json:"name"`
					Value string `json:"value"`
				} `json:"env"`
			} `json:"exec"`
		} `json:"user"`
	} `json:"users"`
}

// parseKubeconfig reads a kubeconfig. Its errors repeat nothing of the file.
func parseKubeconfig(data []byte) (*kubeconfigFile, error) {
	var parsed kubeconfigFile
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		return nil, errors.New("it is no kubeconfig: not the YAML of one")
	}
	if parsed.Kind != "Config" && len(parsed.Clusters)+len(parsed.Users) == 0 {
		return nil, errors.New("it is no kubeconfig: its kind is not Config")
	}
	return &parsed, nil
}

// Kubeconfigs reads kubeconfig files. One that is not there is an error of the caller's, and is recorded.
func (g *Gatherer) Kubeconfigs(names []string) {
	if len(names) == 0 {
		return
	}
	var failed []string
	for _, name := range names {
		g.say(name)
		read := g.kubeconfig(name, "")
		if problem := kubeconfigProblem(read); problem != "" {
			failed = append(failed, name+": "+problem)
		}
		g.found.Kubeconfigs = append(g.found.Kubeconfigs, *read)
	}
	g.noteFiles(facts.SourceKubeconfigs, len(names), failed)
}

// kubeconfigProblem says what of a kubeconfig could not be read; empty where all could.
func kubeconfigProblem(k *facts.Kubeconfig) string {
	if k.Problem != "" {
		return k.Problem
	}
	for i := range k.Users {
		if u := &k.Users[i]; u.Problem != "" {
			return "user " + u.Name + ": " + u.Problem
		}
	}
	return ""
}

// mostNamed is how many files that could not be read are named: a folder may be full of them.
const mostNamed = 3

// noteFiles records how reading a number of files went. Each that failed is its name and what was wrong.
func (g *Gatherer) noteFiles(source facts.Source, all int, failures []string) {
	before := g.found.Status(source)
	state := facts.Read
	detail := ""
	failed := len(failures)
	if failed > 0 {
		state, detail = facts.Partial, fmt.Sprintf("%d of %d files could not be read: %s", failed, all, strings.Join(failures[:min(failed, mostNamed)], "; "))
		if failed > mostNamed {
			detail += "; ..."
		}
	}
	if before.State == facts.Partial || before.State == facts.Unreadable {
		state, detail = before.State, strings.TrimPrefix(before.Detail+"; "+detail, "; ")
	}
	g.note(source, state, before.Count+all-failed, detail, "")
}

// kubeconfig describes one file. Names inside it count from its folder.
func (g *Gatherer) kubeconfig(name, flag string) *facts.Kubeconfig {
	file, data := g.file(flag, name)
	described := &facts.Kubeconfig{File: file, Problem: file.Problem}
	if file.State != facts.Read {
		described.Problem = problemOf(&file)
		return described
	}
	parsed, err := parseKubeconfig(data)
	if err != nil {
		described.Problem = err.Error()
		return described
	}
	for _, cluster := range parsed.Clusters {
		c := cluster.Cluster
		described.Clusters = append(described.Clusters, facts.KubeconfigCluster{
			Name: cluster.Name, Server: withoutUser(c.Server), Insecure: c.Insecure, OwnCA: c.CA != "" || len(c.CAData) > 0, ProxyURL: withoutUser(c.ProxyURL),
		})
	}
	for i := range parsed.Users {
		described.Users = append(described.Users, g.kubeconfigUser(parsed, i, filepath.Dir(name)))
	}
	for _, context := range parsed.Contexts {
		has := func(cluster, user string) bool {
			return slices.ContainsFunc(described.Clusters, func(c facts.KubeconfigCluster) bool { return c.Name == cluster }) &&
				(user == "" || slices.ContainsFunc(described.Users, func(u facts.KubeconfigUser) bool { return u.Name == user }))
		}
		if !has(context.Context.Cluster, context.Context.User) {
			described.Dangling = append(described.Dangling, context.Name)
		}
		if context.Name == parsed.CurrentContext {
			described.CurrentCluster, described.CurrentUser = context.Context.Cluster, context.Context.User
		}
	}
	return described
}

func (g *Gatherer) kubeconfigUser(parsed *kubeconfigFile, i int, folder string) facts.KubeconfigUser {
	user := &parsed.Users[i].User
	described := facts.KubeconfigUser{
		Name: parsed.Users[i].Name, EmbeddedKey: len(user.KeyData) > 0, TokenFile: user.TokenFile,
		Basic: user.Username != "" || user.Password != "", Impersonates: user.As,
	}
	if user.Key != "" && !described.EmbeddedKey {
		described.KeyFile = within(folder, user.Key)
	}
	certificate, err := user.CertificateData, error(nil)
	if len(certificate) == 0 && user.Certificate != "" {
		certificate, err = readBounded(within(folder, user.Certificate))
	}
	if len(certificate) > 0 {
		var certificates []facts.Certificate
		if certificates, err = Certificates(certificate); err == nil {
			described.Certificate = &certificates[0]
		}
	}
	if err != nil {
		described.Problem = "its client certificate: " + err.Error()
	}
	if user.Token != "" {
		described.Token = g.held(user.Token)
	}
	if provider := user.AuthProvider; provider != nil {
		described.AuthProvider = provider.Name
		for _, key := range []string{"access-token", "client-secret", "id-token", "refresh-token"} {
			if provider.Config[key] != "" {
				described.ProviderSecrets = append(described.ProviderSecrets, key)
			}
		}
		if token := provider.Config["id-token"]; token != "" && described.Token == nil {
			described.Token = g.held(token)
		}
	}
	if user.Exec != nil {
		described.Exec = &facts.Exec{Command: user.Exec.Command}
		for _, arg := range user.Exec.Args {
			if name, value, ok := strings.Cut(arg, "="); ok && value != "" && namesSecret(name) {
				described.Exec.Secrets = append(described.Exec.Secrets, name)
			}
		}
		for _, variable := range user.Exec.Env {
			if variable.Value != "" && namesSecret(variable.Name) {
				described.Exec.Secrets = append(described.Exec.Secrets, variable.Name)
			}
		}
		path := within(folder, user.Exec.Command)
		if !strings.ContainsRune(user.Exec.Command, os.PathSeparator) {
			path, _ = exec.LookPath(user.Exec.Command) // one that is not there cannot be looked at
		}
		if info, err := os.Stat(path); err == nil {
			described.Exec.Looked, described.Exec.Writable = true, info.Mode().Perm()&othersWrite != 0
		}
	}
	return described
}

// namesSecret reports whether an argument or a variable of a plugin holds a secret, by its name.
func namesSecret(name string) bool {
	name = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	return slices.ContainsFunc([]string{"secret", "password", "refreshtoken", "idtoken", "accesstoken"}, func(word string) bool {
		return strings.HasSuffix(name, word)
	})
}

// othersWrite are the permission bits by which others than the owner may change a file.
const othersWrite = 0o022

func within(folder, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}

// withoutUser leaves out what an address holds of a user and a password.
func withoutUser(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return parsed.String()
}

// usualKubeconfigs are where kubeadm leaves kubeconfigs on a control plane.
func usualKubeconfigs() []string {
	return []string{"admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf", "bootstrap-kubelet.conf"}
}

// NodeKubeconfigs reads those that kubeadm leaves in a folder, as far as they are there.
func (g *Gatherer) NodeKubeconfigs(folder string) {
	var there []string
	g.found.NodeFolders = append(g.found.NodeFolders, folder)
	for _, name := range usualKubeconfigs() {
		path := filepath.Join(folder, name)
		if _, err := os.Lstat(path); err == nil && !slices.Contains(there, path) {
			there = append(there, path)
		}
	}
	g.Kubeconfigs(there)
}
