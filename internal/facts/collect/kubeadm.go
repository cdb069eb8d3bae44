package collect

import (
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/facts"
)

// describeKubeadm reads what a kubeadm configuration says besides flags.
func describeKubeadm(data []byte) (*facts.Kubeadm, error) {
	all := &facts.Kubeadm{}
	for document := range strings.SplitSeq(string(data), "\n---") {
		var parsed struct {
			Kind                string `json:"kind"`
			CertificateValidity string `json:"certificateValidityPeriod"`
			CAValidity          string `json:"caCertificateValidityPeriod"`
			BootstrapTokens     []struct {
				Token string `json:"token"`
				TTL   string `json:"ttl"`
			} `json:"bootstrapTokens"`
		}
		if err := yaml.Unmarshal([]byte(document), &parsed); err != nil {
			return nil, fmt.Errorf("a kubeadm configuration that cannot be read: %w", err)
		}
		for _, period := range []struct {
			text string
			into *time.Duration
		}{{parsed.CertificateValidity, &all.CertificateValidity}, {parsed.CAValidity, &all.CAValidity}} {
			if period.text == "" {
				continue
			}
			length, err := time.ParseDuration(period.text)
			if err != nil {
				return nil, fmt.Errorf("a kubeadm configuration with a period that cannot be read: %w", err)
			}
			*period.into = length
		}
		for _, token := range parsed.BootstrapTokens {
			if token.Token != "" {
				all.LiteralTokens++
			}
			if ttl, err := time.ParseDuration(token.TTL); token.TTL != "" && err == nil && ttl == 0 {
				all.EndlessTokens++
			}
		}
	}
	return all, nil
}
