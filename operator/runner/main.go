// runner makes directories, starts commands, ends them and tells what became of them. It decides nothing.
//
//	runner install DIR     copy this program to DIR/runner
//	runner serve ...       serve an agent (see serve.go); PID 1 of a task container
//	runner shell DIR ...   a command or a shell for people, with the node's variables (see shell.go)
//	runner version
package main

import (
	"fmt"
	"os"
)

// build names this program's version; set with -ldflags "-X main.build=...".
var build = "devel"

func main() {
	if len(os.Args) < 2 {
		fail("usage: runner install DIR | serve [flags] | shell DIR ... | version")
	}
	switch os.Args[1] {
	case "install":
		if len(os.Args) != 3 {
			fail("usage: runner install DIR")
		}
		if err := install(os.Args[2]); err != nil {
			fail(err.Error())
		}
	case "serve":
		os.Exit(serve(os.Args[2:]))
	case "shell":
		os.Exit(shell(os.Args[2:]))
	case "version":
		fmt.Printf("batchpools runner %s, protocol %d\n", build, protocolVersion)
	default:
		fail("unknown command " + os.Args[1])
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "runner: "+message)
	os.Exit(2)
}
