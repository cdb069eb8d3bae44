package kubectl

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/internal/facts"
	"github.com/ostiary/ostiary/internal/facts/collect"
	"github.com/ostiary/ostiary/internal/version"
)

// gatherFlags say where facts come from.
type gatherFlags struct {
	noCluster, noProbes         bool
	replicas                    []string
	bootstrapTokens             bool
	scanConfigMaps, scanSecrets bool
	node                        bool
	manifests, kubelets, texts  []string
	root                        string
	kubeconfigs                 []string
	roster                      string
	certificates, auditLogs     []string
	logsComplete, scanPods      bool
	gates                       []string
	issuerKeys                  map[string]string
}

func (f *gatherFlags) add(command *cobra.Command) {
	set := command.Flags()
	set.BoolVar(&f.noCluster, "no-cluster", false, "Ask no API server; look at files only.")
	set.BoolVar(&f.noProbes, "no-probes", false, "Send no request without a credential, and try no TLS version.")
	set.StringArrayVar(&f.replicas, "replica", nil, "The `URL` of a further API server of the cluster, asked for its flags with the same credential; repeat it for more.")
	set.BoolVar(&f.bootstrapTokens, "read-bootstrap-tokens", false, "Read the values of join tokens to judge how strong they are. They are forgotten at once.")
	set.BoolVar(&f.scanConfigMaps, "scan-configmaps", false, "Look for credentials in the values of all ConfigMaps.")
	set.BoolVar(&f.scanSecrets, "scan-secrets", false, "Look for credentials in the values of all Secrets. They are forgotten at once.")
	set.BoolVar(&f.node, "node", false, "Read what kubeadm keeps on this machine, a control plane, in "+collect.KubeadmFolder+".")
	set.StringArrayVar(&f.manifests, "manifest", nil, "A `FILE` with flags of kube-apiserver or kube-controller-manager: static pod, kubeadm configuration or command line. The files that they name are read, too. Repeat it, one for each replica.")
	set.StringVar(&f.root, "root", "", "The `FOLDER` where the node's disk is mounted: it is put before the names of files in manifests.")
	set.StringArrayVar(&f.kubeconfigs, "kubeconfig-file", nil, "A kubeconfig `FILE` to look at; repeat it for more.")
	set.StringArrayVar(&f.kubelets, "kubelet-config", nil, "A `FILE` with a KubeletConfiguration; repeat it for more.")
	set.StringArrayVar(&f.texts, "join-file", nil, "A `FILE` such as cloud-init, in which join tokens are looked for; repeat it for more.")
	set.StringArrayVar(&f.certificates, "certificate-file", nil, "A PEM `FILE` with a client's certificate, or a folder of them; repeat it for more. With --node, those of kubeadm and the kubelet are read.")
	set.StringArrayVar(&f.auditLogs, "audit-log", nil, "An audit log of the API server, plain or gzipped (`FILE`); repeat it for more, such as those that were rotated.")
	set.BoolVar(&f.logsComplete, "audit-log-complete", false, "Say that the audit logs are those of all API servers, without a hole: a token of whose issue they do not tell is then a forged one.")
	set.BoolVar(&f.scanPods, "scan-pods", false, "Look at every pod for the tokens that it gets.")
	set.StringArrayVar(&f.gates, "gate-address", nil, "An `ADDRESS` from which a gateway asks the API servers, so that who goes round it shows; repeat it for more.")
	set.StringToStringVar(&f.issuerKeys, "issuer-keys", nil, "A provider and a file with the keys that it publishes (`URL=FILE`), to judge how long they are; repeat it for more.")
	set.StringVar(&f.roster, "roster", "", "A CSV `FILE` of who belongs to the organisation, with the columns username and active.")
}

// gather collects the facts.
func (f *gatherFlags) gather(ctx context.Context, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) (*facts.Facts, error) {
	saveMemory()
	g := collect.New(time.Now(), version.Get().Version)
	g.Progress = progressTo(streams)
	node := collect.Node{Manifests: f.manifests, Root: f.root, Kubelets: f.kubelets, Texts: f.texts}
	if f.node {
		folder := f.root + collect.KubeadmFolder
		there := collect.KubeadmManifests(folder)
		if len(there) == 0 {
			return nil, fmt.Errorf("--node: there is no manifest of a control plane in %s/manifests; name one by --manifest", folder)
		}
		node.Manifests = append(node.Manifests, there...)
		g.NodeKubeconfigs(folder)
		g.NodeCertificates(folder, f.root+collect.KubeletPKI)
	}
	g.CertificateFiles(f.certificates)
	if f.noCluster && len(node.Manifests)+len(f.kubeconfigs)+len(f.kubelets)+len(f.texts)+len(f.certificates)+len(f.auditLogs) == 0 {
		return nil, fmt.Errorf("nothing to look at: --no-cluster needs --node, --manifest, --kubeconfig-file, --certificate-file, --kubelet-config, --join-file or --audit-log")
	}
	if err := g.Node(node); err != nil {
		return nil, err
	}
	g.Kubeconfigs(f.kubeconfigs)
	if f.roster != "" {
		if err := g.Roster(f.roster); err != nil {
			return nil, err
		}
	}
	if err := g.AuditLogs(ctx, f.auditLogs); err != nil {
		return nil, err
	}
	if err := g.KeySets(f.issuerKeys); err != nil {
		return nil, err
	}
	for _, address := range f.gates {
		if _, err := netip.ParseAddr(address); err != nil {
			return nil, fmt.Errorf("--gate-address %q is no IP address", address)
		}
	}
	g.Gate("", f.gates)
	if !f.noCluster {
		if err := f.live(ctx, g, flags, streams); err != nil {
			return nil, err
		}
	}
	g.Judge(f.logsComplete)
	return g.Facts(), nil
}

// live asks the cluster of the current context.
func (f *gatherFlags) live(ctx context.Context, g *collect.Gatherer, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) error {
	server, err := connect(flags, streams)
	if err != nil {
		return err
	}
	what := collect.Live{
		Server: server.url, Context: server.context, BootstrapValues: f.bootstrapTokens, ScanConfigMaps: f.scanConfigMaps, ScanSecrets: f.scanSecrets, ScanPods: f.scanPods,
	}
	first, err := f.replica(server.config, server.url)
	if err != nil {
		return err
	}
	what.API, what.Anonymous = first.API, first.Anonymous
	for _, address := range f.replicas {
		if !strings.HasPrefix(address, "https://") {
			return fmt.Errorf("--replica %q: want an https URL: a credential sent elsewhere could be read on the way", address)
		}
		replica, err := f.replica(server.config, address)
		if err != nil {
			return err
		}
		what.Replicas = append(what.Replicas, replica)
	}
	if !f.noProbes {
		for _, replica := range append([]collect.Replica{{Name: server.url}}, what.Replicas...) {
			g.Handshakes(ctx, replica.Name, server.config.ServerName)
		}
		g.WebhookHandshakes(ctx)
	}
	if err := g.Live(ctx, what); collect.StatusOf(err) == http.StatusUnauthorized {
		return fmt.Errorf("%s refused the credential of context %q: it is missing, expired, revoked or for another server: %w", server.url, server.context, err)
	} else if err != nil {
		return server.explain(err)
	}
	if user, err := server.whoAmI(ctx); err == nil {
		caller := facts.Caller{Username: user.Username, Groups: user.Groups}
		if ids := user.Extra["authentication.kubernetes.io/credential-id"]; len(ids) > 0 {
			caller.CredentialID = ids[0]
		}
		g.Facts().Cluster.Caller = caller
	}
	if status, err := server.gateStatus(ctx); err == nil {
		g.Gate(status.Cluster.Name, f.gates)
	}
	return nil
}

// replica makes the clients for one API server.
func (f *gatherFlags) replica(config *rest.Config, address string) (collect.Replica, error) {
	config = rest.CopyConfig(config)
	config.Host = address
	made := collect.Replica{Name: address}
	api, err := newAsker(config)
	if err != nil {
		return made, err
	}
	made.API = api
	if !f.noProbes {
		anonymous, err := newAsker(rest.AnonymousClientConfig(config))
		if err != nil {
			return made, err
		}
		made.Anonymous = anonymous
	}
	return made, nil
}

// progressTo shows on a terminal what is being read; elsewhere nobody waits for it.
func progressTo(streams genericiooptions.IOStreams) func(string) {
	file, ok := streams.ErrOut.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(what string) { _, _ = fmt.Fprintf(streams.ErrOut, "reading: %s\n", printable(what)) }
}
