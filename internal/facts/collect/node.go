package collect

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/facts"
)

// Node says which files to read.
type Node struct {
	// Manifests are of kube-apiserver or kube-controller-manager, or kubeadm configurations, or lists of flags.
	Manifests []string
	// Root is put before the names of files that the flags name, where the node's disk is mounted elsewhere.
	Root string
	// FlagsOnly leaves the files alone that the flags name.
	FlagsOnly bool
	// Kubelets are configurations of kubelets, Texts files in which join tokens are looked for.
	Kubelets, Texts []string
}

// Node reads files of a node. It fails where a file that was named cannot be read or understood.
func (g *Gatherer) Node(what Node) error {
	for _, name := range what.Manifests {
		g.say(name)
		if err := g.manifest(name, &what); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range what.Kubelets {
		if err := g.kubelet(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	g.texts(what.Texts)
	return nil
}

func (g *Gatherer) manifest(name string, what *Node) error {
	data, err := readBounded(name)
	if err != nil {
		return err
	}
	if flags, ok := managerManifest(data); ok {
		g.found.ControllerManagers = append(g.found.ControllerManagers, facts.Program{Name: name, Evidence: facts.EvidenceManifest, Flags: flags})
		g.note(facts.SourceControllerManager, facts.Read, len(g.found.ControllerManagers), "", "")
		return nil
	}
	source, err := apiserverflags.Read(data)
	if err != nil {
		return err
	}
	flags, err := apiserverflags.Parse(source)
	if err != nil {
		return err
	}
	if strings.Contains(string(data), "kubeadm.k8s.io/") && g.found.Kubeadm == nil {
		if described, err := describeKubeadm(data); err == nil {
			g.found.Kubeadm = described
			g.note(facts.SourceKubeadm, facts.Read, 1, "", "")
		}
	}
	server := facts.APIServer{Program: facts.Program{Name: name, Evidence: facts.EvidenceManifest, Flags: flags}}
	if !what.FlagsOnly {
		g.named(&server, func(file string) string {
			onHost, _ := source.OnHost(file)
			return filepath.Join(what.Root, filepath.FromSlash(onHost))
		})
	}
	g.found.APIServers = append(g.found.APIServers, server)
	if !g.found.Knows(facts.SourceFlags) && g.found.Status(facts.SourceFlags).State != facts.Partial {
		g.note(facts.SourceFlags, facts.Read, len(g.found.APIServers), "", "")
	}
	return nil
}

func managerManifest(data []byte) (apiserverflags.Values, bool) {
	var pod struct {
		Kind string `json:"kind"`
		Spec struct {
			Containers []struct {
				Command []string `json:"command"`
				Args    []string `json:"args"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if yaml.Unmarshal(data, &pod) == nil && pod.Kind == "Pod" {
		for _, container := range pod.Spec.Containers {
			if flags, ok := ManagerFlags(append(container.Command, container.Args...)); ok {
				return flags, true
			}
		}
		return nil, false
	}
	return ManagerFlags(strings.Fields(string(data)))
}

// named reads the files that an API server's flags name.
func (g *Gatherer) named(server *facts.APIServer, onHost func(string) string) {
	read := func(flag string, use func(path string, data []byte) error) {
		name := server.Flags.Text(flag, "")
		if name == "" {
			return
		}
		path := onHost(name)
		g.say(path)
		file, data := g.file(flag, path)
		if file.State == facts.Read {
			if err := use(path, data); err != nil {
				file.State, file.Problem = facts.Unreadable, err.Error()
			}
		}
		server.Files = append(server.Files, file)
	}
	bundle := func(into *[]facts.Certificate) func(string, []byte) error {
		return func(_ string, data []byte) (err error) {
			*into, err = Certificates(data)
			return err
		}
	}
	read("authentication-config", func(_ string, data []byte) (err error) {
		server.Authentication, err = AuthenticationConfiguration(data)
		return err
	})
	read("token-auth-file", func(path string, data []byte) error {
		server.StaticTokens = g.staticTokens(path, data)
		return nil
	})
	read("audit-policy-file", func(_ string, data []byte) (err error) {
		server.AuditPolicy, err = auditPolicy(data)
		return err
	})
	read("encryption-provider-config", func(_ string, data []byte) (err error) {
		server.Encryption, err = encryption(data)
		return err
	})
	read("client-ca-file", bundle(&server.ClientCAs))
	read("requestheader-client-ca-file", bundle(&server.RequestHeaderCAs))
	read("etcd-cafile", bundle(&server.EtcdCAs))
	read("oidc-ca-file", bundle(&server.OIDCCAs))
	read("proxy-client-cert-file", func(_ string, data []byte) error {
		certificates, err := Certificates(data)
		if err == nil {
			server.FrontProxy = &certificates[0]
		}
		return err
	})
	if name := server.Flags.Text("authentication-token-webhook-config-file", ""); name != "" {
		server.Webhook = g.kubeconfig(onHost(name), "authentication-token-webhook-config-file")
		server.Files = append(server.Files, server.Webhook.File)
		if server.Webhook.Problem != "" {
			server.Webhook = nil
		}
	}
	for _, name := range server.Flags["service-account-key-file"] {
		file, data := g.file("service-account-key-file", onHost(name))
		if file.State == facts.Read {
			keys, err := publicKeys(name, data)
			if err != nil {
				file.State, file.Problem = facts.Unreadable, err.Error()
			}
			server.TokenKeys = append(server.TokenKeys, keys...)
		}
		server.Files = append(server.Files, file)
	}
	g.keys(server, onHost)
}

// keys looks at the private keys by which credentials are made, where they lie beside their certificates.
func (g *Gatherer) keys(server *facts.APIServer, onHost func(string) string) {
	beside := func(flag string) string {
		name := server.Flags.Text(flag, "")
		if name == "" {
			return ""
		}
		return strings.TrimSuffix(name, filepath.Ext(name)) + ".key"
	}
	for _, key := range []struct{ use, name string }{
		{"client CA", beside("client-ca-file")},
		{"request-header CA", beside("requestheader-client-ca-file")},
		{"etcd CA", beside("etcd-cafile")},
		{"front proxy", server.Flags.Text("proxy-client-key-file", "")},
		{"service account tokens", server.Flags.Text("service-account-signing-key-file", "")},
	} {
		if key.name == "" {
			continue
		}
		path := onHost(key.name)
		file, data := g.file("", path)
		if file.State == facts.Absent {
			continue // kept elsewhere, which is better
		}
		described := facts.KeyFile{File: file, Use: key.use}
		if block, _ := pem.Decode(data); block != nil {
			if keys, err := publicKeys(path, pem.EncodeToMemory(block)); err == nil {
				described.KeyDigest = keys[0].KeyDigest
			}
		}
		g.found.Keys = append(g.found.Keys, described)
	}
	g.note(facts.SourceKeys, facts.Read, len(g.found.Keys), "", "")
}

// kubelet reads a KubeletConfiguration.
func (g *Gatherer) kubelet(name string) error {
	data, err := readBounded(name)
	if err != nil {
		return err
	}
	var parsed struct {
		Kind           string `json:"kind"`
		ReadOnlyPort   int    `json:"readOnlyPort"`
		Rotate         bool   `json:"rotateCertificates"`
		Authentication struct {
			Anonymous struct {
				Enabled *bool `json:"enabled"`
			} `json:"anonymous"`
			X509 struct {
				ClientCAFile string `json:"clientCAFile"`
			} `json:"x509"`
		} `json:"authentication"`
		Authorization struct {
			Mode string `json:"mode"`
		} `json:"authorization"`
	}
	if err := yaml.Unmarshal(data, &parsed); err != nil || parsed.Kind != "KubeletConfiguration" {
		return fmt.Errorf("it is no KubeletConfiguration")
	}
	// A file leaves these safe where it does not name them (kubelet/config/v1beta1/defaults.go).
	described := facts.Kubelet{
		Node: name, Evidence: facts.EvidenceManifest, ClientCAFile: parsed.Authentication.X509.ClientCAFile, ReadOnlyPort: parsed.ReadOnlyPort,
		AuthorizationMode: parsed.Authorization.Mode, RotateCertificates: parsed.Rotate,
	}
	if described.AuthorizationMode == "" {
		described.AuthorizationMode = "Webhook"
	}
	if enabled := parsed.Authentication.Anonymous.Enabled; enabled != nil {
		described.Anonymous = *enabled
	}
	g.found.Kubelets = append(g.found.Kubelets, described)
	g.note(facts.SourceKubelets, facts.Read, len(g.found.Kubelets), "", "")
	return nil
}

// joinToken is what a bootstrap token looks like (k8s.io/cluster-bootstrap).
var joinToken = regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`) // compiled once, never changed

// texts counts join tokens in files such as cloud-init.
func (g *Gatherer) texts(names []string) {
	var failed []string
	for _, name := range names {
		file, data := g.file("", name)
		if file.State != facts.Read {
			failed = append(failed, name+": "+problemOf(&file))
		}
		g.found.Texts = append(g.found.Texts, facts.Text{File: file, JoinTokens: len(joinToken.FindAll(data, -1))})
	}
	if len(names) > 0 {
		g.noteFiles(facts.SourceTexts, len(names), failed)
	}
}

// KubeadmFolder is where kubeadm keeps what belongs to a control plane.
const KubeadmFolder = "/etc/kubernetes"

// KubeadmManifests are the manifests of the control plane on this machine, as far as they are there.
func KubeadmManifests(folder string) []string {
	var there []string
	for _, name := range []string{"kube-apiserver.yaml", "kube-controller-manager.yaml"} {
		path := filepath.Join(folder, "manifests", name)
		if _, err := os.Stat(path); err == nil {
			there = append(there, path)
		}
	}
	return there
}
