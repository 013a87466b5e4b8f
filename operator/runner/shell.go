package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// shell takes this process's place by a command, or by a shell: with the node's variables, in the node's root directory.
// `kubectl batch exec` starts it in the task container, where there may be neither env nor a shell that can cd.
//
//	runner shell DIRECTORY [NAME=VALUE ...] [-- COMMAND ...]
//
// It returns the exit code that says that nothing could be started.
func shell(arguments []string) int {
	if len(arguments) == 0 {
		fail("usage: runner shell DIRECTORY [NAME=VALUE ...] [-- COMMAND ...]")
	}
	directory, pairs, command := arguments[0], arguments[1:], []string(nil)
	if at := slices.Index(pairs, "--"); at >= 0 {
		pairs, command = pairs[:at], pairs[at+1:]
	}
	if err := os.Chdir(directory); err != nil {
		return say("cannot enter the node's directory", err)
	}
	env := overlay(containerEnvironment(os.Environ()), pairs, "")
	env = slices.DeleteFunc(env, func(pair string) bool { return !strings.Contains(pair, "=") })
	if len(command) == 0 {
		command = []string{anyShell(env, directory), "-i"}
	}
	program, err := lookPath(command[0], env, directory)
	if err != nil {
		return say("cannot start", err)
	}
	return say("cannot start "+program, syscall.Exec(program, command, env))
}

// anyShell is the best shell that the image has.
func anyShell(env []string, directory string) string {
	for _, name := range []string{"bash", "sh"} {
		if _, err := lookPath(name, env, directory); err == nil {
			return name
		}
	}
	return "sh"
}
