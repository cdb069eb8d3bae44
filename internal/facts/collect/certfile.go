package collect

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ostiary/ostiary/internal/facts"
)

// KubeletPKI is where a kubelet keeps its own certificate.
const KubeletPKI = "/var/lib/kubelet/pki"

// NodeCertificates reads the clients' certificates that kubeadm and the kubelet keep, as far as they are there.
func (g *Gatherer) NodeCertificates(kubeadm, kubelet string) {
	var names []string
	for _, folder := range []string{filepath.Join(kubeadm, "pki"), kubelet} {
		if _, err := os.Stat(folder); err == nil {
			names = append(names, folder)
		}
	}
	g.CertificateFiles(names)
}

// CertificateFiles reads files with clients' certificates, and those of folders that are named. In a folder, only names
// that end as such files do are looked at; one that cannot be read is recorded.
func (g *Gatherer) CertificateFiles(names []string) {
	var failed []string
	all := 0
	for _, name := range names {
		for _, file := range certificatesIn(name) {
			described, data := g.file("", file)
			g.say(file)
			one := facts.CertificateFile{File: described}
			if described.State == facts.Read {
				found, err := Certificates(data)
				if err != nil {
					one.State, one.Problem = facts.Unreadable, err.Error()
				}
				one.Certificates = slices.DeleteFunc(found, func(c facts.Certificate) bool { return c.CA || !c.ClientAuth })
				one.HasKey = holdsKey(data)
			}
			if one.State != facts.Read {
				failed = append(failed, file+": "+problemOf(&one.File))
			}
			all++
			g.found.CertificateFiles = append(g.found.CertificateFiles, one)
		}
	}
	if len(names) > 0 {
		g.noteFiles(facts.SourceCertificateFiles, all, failed)
	}
}

// certificatesIn are the file itself, or those of a folder.
func certificatesIn(name string) []string {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name} // an error is recorded where it is read
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return []string{name}
	}
	var files []string
	for _, entry := range entries {
		if suffix := filepath.Ext(entry.Name()); !entry.IsDir() && slices.Contains([]string{".crt", ".pem", ".cert", ".cer"}, suffix) {
			files = append(files, filepath.Join(name, entry.Name()))
		}
	}
	return files
}

func holdsKey(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}
