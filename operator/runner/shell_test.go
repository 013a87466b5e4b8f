package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func runShell(t *testing.T, arguments ...string) (string, int) {
	t.Helper()
	command := exec.Command(os.Args[0], append([]string{"shell"}, arguments...)...)
	command.Env = append(os.Environ(), "RUNNER_UNDER_TEST=1", "BATCHPOOLS_SECRET=x", "IMAGE=its own")
	output, _ := command.CombinedOutput()
	return strings.TrimSpace(string(output)), command.ProcessState.ExitCode()
}

func TestAShellHasTheNodesVariablesInTheNodesDirectory(t *testing.T) {
	where := t.TempDir()
	script := `echo "$PWD $AZ_BATCH_NODE_ID $IMAGE $BATCHPOOLS_SECRET"; exit 3`
	told, code := runShell(t, where, "AZ_BATCH_NODE_ID=demo-0", "--", "sh", "-c", script)
	expect(t, "output", told, where+" demo-0 its own")
	expect(t, "exit code", code, 3)
}

func TestACommandThatIsMissingIsSaidToBe(t *testing.T) {
	told, code := runShell(t, t.TempDir(), "--", "no-such-program")
	expect(t, "said", strings.Contains(told, "no-such-program"), true)
	expect(t, "exit code", code != 0, true)
}
