package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// logName is the agent's log, beside its socket. It holds no secret.
const logName = "agent.log"

// passed are the variables that an agent is started with. All others stay behind: those of a pipeline hold tokens, and an
// agent lives longer than the step that started it.
func passed() []string {
	return []string{
		"HOME", "PATH", "TMPDIR", "TEMP", "TMP", "TZ", "LANG", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SYSTEMROOT", "LOCALAPPDATA", "USERPROFILE", "GOCOVERDIR",
	}
}

// Spawn runs a program as an agent that outlives this one, without its terminal and without most of its environment.
func Spawn(program string, arguments ...string) error {
	folder, err := Folder()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(folder, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600) //nolint:gosec // in a folder of our own
	if err != nil {
		return fmt.Errorf("cannot open the agent's log: %w", err)
	}
	defer func() { _ = log.Close() }()             // the process has its own descriptor
	command := exec.Command(program, arguments...) //nolint:gosec,noctx // this program itself, which is to outlive us
	command.Stderr, command.Dir, command.SysProcAttr = log, folder, apart()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); slices.Contains(passed(), name) {
			command.Env = append(command.Env, variable)
		}
	}
	if err := command.Start(); err != nil {
		return err
	}
	return command.Process.Release()
}
