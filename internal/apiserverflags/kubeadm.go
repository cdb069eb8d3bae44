package apiserverflags

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// kubeadm's own defaults (kubeadm/app/apis/kubeadm/v1beta4/defaults.go).
const (
	kubeadmGroup        = "kubeadm.k8s.io/"
	kubeadmCertificates = "/etc/kubernetes/pki"
	kubeadmDNSDomain    = "cluster.local"
	kubeadmPort         = 6443
)

// kubeadmConfiguration holds what ClusterConfiguration and InitConfiguration say about the API server.
type kubeadmConfiguration struct {
	ClusterName          string `json:"clusterName"`
	CertificatesDir      string `json:"certificatesDir"`
	ControlPlaneEndpoint string `json:"controlPlaneEndpoint"`
	Networking           struct {
		DNSDomain string `json:"dnsDomain"`
	} `json:"networking"`
	APIServer struct {
		ExtraArgs    kubeadmArgs `json:"extraArgs"`
		ExtraVolumes []struct {
			HostPath  string `json:"hostPath"`
			MountPath string `json:"mountPath"`
		} `json:"extraVolumes"`
	} `json:"apiServer"`
	LocalAPIEndpoint struct {
		AdvertiseAddress string `json:"advertiseAddress"`
		BindPort         int    `json:"bindPort"`
	} `json:"localAPIEndpoint"`
}

type kubeadmArg struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	MergeMethod string `json:"mergeMethod"`
}

// kubeadmArgs are a mapping up to v1beta3 and a list from v1beta4 on.
type kubeadmArgs []kubeadmArg

// UnmarshalJSON takes both forms.
func (a *kubeadmArgs) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return json.Unmarshal(data, (*[]kubeadmArg)(a))
	}
	var mapping map[string]string
	if err := json.Unmarshal(data, &mapping); err != nil {
		return err
	}
	for name, value := range mapping {
		*a = append(*a, kubeadmArg{Name: name, Value: value})
	}
	slices.SortFunc(*a, func(x, y kubeadmArg) int { return strings.Compare(x.Name, y.Name) })
	return nil
}

// fromKubeadm builds the flags that kubeadm would start the API server with.
func fromKubeadm(documents []document) (*Source, error) {
	var parsed kubeadmConfiguration
	for _, document := range documents {
		if !strings.HasPrefix(document.APIVersion, kubeadmGroup) {
			if document.Kind == "ClusterConfiguration" {
				return nil, fmt.Errorf("the ClusterConfiguration is of %q; it must be of %sv1beta3 or later", document.APIVersion, kubeadmGroup)
			}
			continue
		}
		if document.Kind != "ClusterConfiguration" && document.Kind != "InitConfiguration" {
			continue
		}
		if err := yaml.Unmarshal(document.raw, &parsed); err != nil {
			return nil, fmt.Errorf("reading the %s: %w", document.Kind, err)
		}
	}
	setDefault(&parsed.CertificatesDir, kubeadmCertificates)
	setDefault(&parsed.Networking.DNSDomain, kubeadmDNSDomain)
	setDefault(&parsed.LocalAPIEndpoint.BindPort, kubeadmPort)

	found := &Source{
		What:         "a kubeadm configuration",
		ClusterName:  parsed.ClusterName,
		Certificates: parsed.CertificatesDir,
	}
	var err error
	if found.Args, err = parsed.flags(); err != nil {
		return nil, err
	}
	if endpoint := parsed.ControlPlaneEndpoint; endpoint != "" && parsed.LocalAPIEndpoint.AdvertiseAddress == "" {
		if _, _, err := net.SplitHostPort(endpoint); err != nil {
			endpoint = net.JoinHostPort(strings.Trim(endpoint, "[]"), strconv.Itoa(parsed.LocalAPIEndpoint.BindPort))
		}
		found.Endpoint = endpoint
	}
	for _, volume := range parsed.APIServer.ExtraVolumes {
		if volume.MountPath != "" && volume.HostPath != "" && path.Clean(volume.MountPath) != path.Clean(volume.HostPath) {
			found.mounts = append(found.mounts, mount{container: path.Clean(volume.MountPath), host: volume.HostPath})
		}
	}
	if found.mounts != nil { // kubeadm mounts its own folders under their own names
		found.mounts = append(found.mounts, mount{container: "/", host: "/"})
	}
	return found, nil
}

// flags merges extraArgs into kubeadm's own flags, as kubeadm's ArgumentsToCommand does: an extra argument replaces
// every flag of its name, or is put before or after its value.
func (k *kubeadmConfiguration) flags() ([]string, error) {
	pki := func(name string) string { return path.Join(k.CertificatesDir, name) }
	own := []kubeadmArg{
		{Name: "client-ca-file", Value: pki("ca.crt")},
		{Name: "tls-cert-file", Value: pki("apiserver.crt")},
		{Name: "tls-private-key-file", Value: pki("apiserver.key")},
		{Name: "enable-bootstrap-token-auth", Value: "true"},
		{Name: "secure-port", Value: strconv.Itoa(k.LocalAPIEndpoint.BindPort)},
		{Name: "service-account-issuer", Value: "https://kubernetes.default.svc." + k.Networking.DNSDomain},
		{Name: "service-account-key-file", Value: pki("sa.pub")},
		{Name: "requestheader-client-ca-file", Value: pki("front-proxy-ca.crt")},
		{Name: "requestheader-allowed-names", Value: "front-proxy-client"},
		{Name: "requestheader-username-headers", Value: "X-Remote-User"},
		{Name: "requestheader-group-headers", Value: "X-Remote-Group"},
		{Name: "requestheader-extra-headers-prefix", Value: "X-Remote-Extra-"},
		{Name: "proxy-client-cert-file", Value: pki("front-proxy-client.crt")},
		{Name: "proxy-client-key-file", Value: pki("front-proxy-client.key")},
	}
	if address := k.LocalAPIEndpoint.AdvertiseAddress; address != "" {
		own = append(own, kubeadmArg{Name: "advertise-address", Value: address})
	}
	if !slices.ContainsFunc(k.APIServer.ExtraArgs, func(a kubeadmArg) bool { return a.Name == "authorization-config" }) {
		own = append(own, kubeadmArg{Name: "authorization-mode", Value: "Node,RBAC"})
	}
	replaced := map[string]bool{}
	for _, extra := range k.APIServer.ExtraArgs {
		if extra.Name == "" || strings.ContainsAny(extra.Name, "= \t\n") {
			return nil, fmt.Errorf("apiServer.extraArgs holds %q, which is not the name of a flag; write it without dashes and value", extra.Name)
		}
		base := slices.IndexFunc(own, func(a kubeadmArg) bool { return a.Name == extra.Name })
		switch {
		case extra.MergeMethod == "":
			replaced[extra.Name] = true
		case base < 0:
			return nil, fmt.Errorf("apiServer.extraArgs merges into --%s, which kubeadm does not set", extra.Name)
		case extra.MergeMethod == "append":
			own[base].Value += extra.Value
		case extra.MergeMethod == "prepend":
			own[base].Value = extra.Value + own[base].Value
		default:
			return nil, errors.New("apiServer.extraArgs: mergeMethod must be append or prepend")
		}
	}
	var flags []string
	for _, arg := range own {
		if !replaced[arg.Name] {
			flags = append(flags, "--"+arg.Name+"="+arg.Value)
		}
	}
	for _, extra := range k.APIServer.ExtraArgs {
		if extra.MergeMethod == "" {
			flags = append(flags, "--"+extra.Name+"="+extra.Value)
		}
	}
	return flags, nil
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}
