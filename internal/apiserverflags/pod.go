package apiserverflags

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"sigs.k8s.io/yaml"
)

// pod is the part of a Pod that says how its containers are started and what they see of the host.
type pod struct {
	Spec struct {
		Containers []container `json:"containers"`
		Volumes    []struct {
			Name     string `json:"name"`
			HostPath *struct {
				Path string `json:"path"`
			} `json:"hostPath"`
		} `json:"volumes"`
	} `json:"spec"`
}

type container struct {
	Name         string   `json:"name"`
	Command      []string `json:"command"`
	Args         []string `json:"args"`
	VolumeMounts []struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		SubPath   string `json:"subPath"`
	} `json:"volumeMounts"`
}

func fromPod(raw []byte) (*Source, error) {
	var parsed pod
	if err := yaml.Unmarshal(raw, &parsed); err != nil {
		return nil, fmt.Errorf("reading the Pod: %w", err)
	}
	i := slices.IndexFunc(parsed.Spec.Containers, container.isAPIServer)
	if i < 0 {
		return nil, errors.New("no container of the Pod runs kube-apiserver; give the manifest of the API server, on kubeadm's control planes /etc/kubernetes/manifests/kube-apiserver.yaml")
	}
	server := parsed.Spec.Containers[i]
	words, shell, err := server.commandLine()
	if err != nil {
		return nil, err
	}
	found, err := fromWords("the manifest of a kube-apiserver pod", words, shell)
	if err != nil {
		return nil, err
	}
	for _, m := range server.VolumeMounts {
		for _, volume := range parsed.Spec.Volumes {
			if volume.Name == m.Name && volume.HostPath != nil && m.MountPath != "" {
				found.mounts = append(found.mounts, mount{container: path.Clean(m.MountPath), host: path.Join(volume.HostPath.Path, m.SubPath)})
			}
		}
	}
	return found, nil
}

func (c container) isAPIServer() bool {
	return c.Name == Program || slices.ContainsFunc(append(slices.Clone(c.Command), c.Args...), func(word string) bool {
		return path.Base(word) == Program || strings.Contains(word, Program+" ")
	})
}

// commandLine joins command and args; where they start a shell, it is the script's words.
func (c container) commandLine() (words []string, shell bool, err error) {
	words = append(slices.Clone(c.Command), c.Args...)
	script := slices.IndexFunc(words, func(word string) bool { return strings.Contains(word, Program+" ") })
	if script < 0 {
		for i, word := range words {
			if !strings.Contains(word, "$(") { // a variable is refused later, in the words of its flag
				words[i] = strings.ReplaceAll(word, "$$", "$") // the kubelet's way of writing one $
			}
		}
		return words, false, nil
	}
	words, err = shellquote.Split(words[script])
	if err != nil {
		return nil, false, fmt.Errorf("reading the script that starts kube-apiserver: %w", err)
	}
	return words, true, nil
}

// OnHost translates a file name as the API server sees it to the host's. The second result is false where the file is
// in the container but not on the host.
func (s *Source) OnHost(name string) (string, bool) {
	if s.mounts == nil || !path.IsAbs(name) {
		return name, true
	}
	name = path.Clean(name)
	var best *mount
	for i, m := range s.mounts {
		inside := name == m.container || strings.HasPrefix(name, strings.TrimSuffix(m.container, "/")+"/")
		if inside && (best == nil || len(m.container) > len(best.container)) {
			best = &s.mounts[i]
		}
	}
	if best == nil {
		return name, false
	}
	return path.Join(best.host, strings.TrimPrefix(name, best.container)), true
}
