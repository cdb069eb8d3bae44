// Package frontdoor_test puts balancers that people run in front of the gate: HAProxy on layer 4, which tells clients'
// addresses by the PROXY protocol, and nginx on layer 7, which ends TLS and passes certificates on as RFC 9440 says.
package frontdoor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/debian"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
	"github.com/ostiary/ostiary/e2e/internal/process"
	"github.com/ostiary/ostiary/e2e/internal/stage"
)

const (
	// stopGrace is how long a balancer may take to end.
	stopGrace    = 10 * time.Second
	pollInterval = 50 * time.Millisecond
	// startAttempts is how often a free port may be taken by somebody else.
	startAttempts = 5
	// inside and outside are addresses of clients: from the one certificates are accepted, from the other not.
	inside, outside = "127.0.0.2", "127.0.0.3"
	// edgeName is the common name of balancers' certificates.
	edgeName = "edge"
)

// shared is what all tests use; TestMain makes it.
var shared struct {
	dir    string
	plane  *controlplane.ControlPlane
	edges  *pki.Authority // signs balancers' certificates
	layer4 *gate.Gate     // behind HAProxy
	layer7 *gate.Gate     // behind nginx
	// haproxy and nginx are the balancers' addresses.
	haproxy, nginx string
}

func TestMain(m *testing.M) {
	stage.Main(m, []binaries.Program{binaries.Etcd, binaries.KubeAPIServer, binaries.Ostiary}, set)
}

func set(ctx context.Context, s *stage.Stage) (err error) {
	if shared.dir, err = s.Folder(); err != nil {
		return err
	}
	if shared.plane, err = s.Plane(ctx, controlplane.Options{NoControllerManager: true}); err != nil {
		return err
	}
	if shared.edges, err = pki.NewAuthority("edge-ca"); err != nil {
		return err
	}
	edgeCA, err := shared.edges.Write(shared.dir, "edge-ca")
	if err != nil {
		return err
	}
	loopback := []string{"127.0.0.1/32"}
	for _, one := range []struct {
		into   **gate.Gate
		listen gate.Object
	}{
		{&shared.layer4, gate.Object{"proxyProtocol": gate.Object{"from": loopback}}},
		{&shared.layer7, gate.Object{
			"forwardedAddresses":      gate.Object{"from": loopback, "header": "X-Forwarded-For"},
			"clientCertificateHeader": gate.Object{"from": loopback, "caFiles": []string{edgeCA}, "allowedNames": []string{edgeName}},
		}},
	} {
		if *one.into, err = startGate(ctx, s, one.listen); err != nil {
			return err
		}
	}
	for _, startBalancer := range []func(context.Context) (*process.Process, error){startHAProxy, startNginx} {
		balancer, err := startBalancer(ctx)
		if err != nil {
			return err
		}
		s.AtEnd(func() error { return balancer.Stop(stopGrace) })
	}
	return nil
}

// startGate starts a gate that takes certificates from inside only.
func startGate(ctx context.Context, s *stage.Stage, listen gate.Object) (*gate.Gate, error) {
	cluster, err := gate.RequestHeader(shared.plane, "plane")
	if err != nil {
		return nil, err
	}
	return s.Gate(ctx, gate.Object{
		"listen": listen, "clusters": []any{cluster},
		"authentication": gate.Object{
			"clientCertificate": gate.Object{"caFiles": []string{shared.plane.ClientCAFile()}, "allowedNetworks": []string{inside + "/32"}},
		},
	})
}

// start starts a balancer on a free port, and waits until it takes connections.
func start(ctx context.Context, name, path string, configure func(port int) (args []string, err error)) (*process.Process, string, error) {
	for attempt := 1; ; attempt++ {
		ports, err := process.FreePorts(1)
		if err != nil {
			return nil, "", err
		}
		args, err := configure(ports[0])
		if err != nil {
			return nil, "", err
		}
		p, err := process.Start(process.Spec{
			Name: name, Path: path, Args: args, Env: os.Environ(), Dir: shared.dir, Log: filepath.Join(shared.dir, name+".log"),
		})
		if err != nil {
			return nil, "", err
		}
		address := "127.0.0.1:" + strconv.Itoa(ports[0])
		if err = await(ctx, p, address); err == nil {
			return p, address, nil
		}
		err = errors.Join(fmt.Errorf("%s: %w\n%s", name, err, p.LogTail()), p.Kill())
		if attempt == startAttempts {
			return nil, "", err
		}
	}
}

// await waits until something takes connections.
func await(ctx context.Context, p *process.Process, address string) error {
	ctx, cancel := context.WithTimeout(ctx, stage.Deadline)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-p.Done():
			return errors.New("it ended")
		case <-ctx.Done():
			return err
		}
	}
}

func startHAProxy(ctx context.Context) (p *process.Process, err error) {
	path, err := debian.Program(ctx, os.Stderr, "haproxy", []string{"haproxy"}, nil)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(shared.dir, "haproxy.cfg")
	p, shared.haproxy, err = start(ctx, "haproxy", path, func(port int) ([]string, error) {
		config := fmt.Sprintf(`defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen gate
  bind 127.0.0.1:%d
  server gate %s send-proxy-v2
`, port, shared.layer4.URL[len("https://"):])
		return []string{"-db", "-f", file}, pki.WriteFile(file, []byte(config))
	})
	return p, err
}

// clientCert makes nginx speak RFC 9440, which it does not by itself.
const clientCert = `function clientCert(r) {
  var pem = r.variables.ssl_client_raw_cert;
  return pem ? ':' + pem.replace(/-----[^-]+-----/g, '').replace(/\s/g, '') + ':' : '';
}
export default {clientCert};
`

func startNginx(ctx context.Context) (p *process.Process, err error) {
	const module = "/usr/lib/nginx/modules/ngx_http_js_module.so"
	path, err := debian.Program(ctx, os.Stderr, "nginx", []string{"nginx-light", "libnginx-mod-http-js"}, []string{module})
	if err != nil {
		return nil, err
	}
	edge, err := shared.edges.Issue(pki.Client(edgeName))
	if err != nil {
		return nil, err
	}
	edgeFiles, err := edge.Write(shared.dir, "edge")
	if err != nil {
		return nil, err
	}
	serving, err := shared.edges.Issue(pki.Server("nginx"))
	if err != nil {
		return nil, err
	}
	servingFiles, err := serving.Write(shared.dir, "nginx")
	if err != nil {
		return nil, err
	}
	gateCA := filepath.Join(shared.dir, "gate-ca.crt")
	if err := errors.Join(pki.WriteFile(gateCA, shared.layer7.CA), pki.WriteFile(filepath.Join(shared.dir, "cert.js"), []byte(clientCert))); err != nil {
		return nil, err
	}
	file := filepath.Join(shared.dir, "nginx.conf")
	p, shared.nginx, err = start(ctx, "nginx", path, func(port int) ([]string, error) {
		config := fmt.Sprintf(`load_module %[1]s;
daemon off;
master_process off;
pid %[2]s/nginx.pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  js_import main from %[2]s/cert.js;
  js_set $client_cert main.clientCert;
  server {
    listen 127.0.0.1:%[3]d ssl;
    ssl_certificate %[4]s; ssl_certificate_key %[5]s;
    ssl_verify_client optional_no_ca;
    location / {
      proxy_pass %[6]s;
      proxy_http_version 1.1;
      proxy_ssl_certificate %[7]s; proxy_ssl_certificate_key %[8]s;
      proxy_ssl_verify on; proxy_ssl_trusted_certificate %[9]s; proxy_ssl_name localhost;
      proxy_set_header Client-Cert $client_cert;
      proxy_set_header Client-Cert-Chain "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`, module, shared.dir, port, servingFiles.Cert, servingFiles.Key, shared.layer7.URL, edgeFiles.Cert, edgeFiles.Key, gateCA)
		return []string{"-e", "stderr", "-c", file, "-p", shared.dir}, pki.WriteFile(file, []byte(config))
	})
	return p, err
}
