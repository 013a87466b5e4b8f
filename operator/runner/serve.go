package main

import (
	"errors"
	"flag"
	"fmt"
	"time"
)

const (
	modeServe     = "serve"
	modeStartTask = "start-task" // may be told to exit
)

// options is what the command line says.
type options struct {
	socket, root, mode string
	agentUID           int
	stopTimeout        time.Duration
	diskLimit          int64
	tasks              *taskUser
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	flags.StringVar(&o.socket, "socket", "", `where the agent connects; a leading "@" names an abstract socket`)
	flags.StringVar(&o.root, "root", "", "the node's root directory")
	flags.StringVar(&o.mode, "mode", modeServe, "serve, or start-task: may be told to exit")
	flags.IntVar(&o.agentUID, "agent-uid", -1, "the only user that is served; -1 serves any")
	flags.DurationVar(&o.stopTimeout, "stop-timeout", 30*time.Second, "how long to wait for the agent after SIGTERM")
	flags.Int64Var(&o.diskLimit, "disk-limit", 0, "bytes that the root directory may hold; 0: its file system's size")
	user := flags.String("task-user", "", "uid:gid:groups of runs that are not elevated, when this process is root; empty: its own")
	_ = flags.Parse(arguments) // ends the process on an error
	switch {
	case o.socket == "" || o.root == "":
		return o, errors.New("--socket and --root are needed")
	case o.mode != modeServe && o.mode != modeStartTask:
		return o, fmt.Errorf("there is no mode %q", o.mode)
	}
	var err error
	o.tasks, err = parseTaskUser(*user)
	return o, err
}

// serve is the whole life of a runner; it returns the exit code.
func serve(arguments []string) int {
	safe, err := harden()
	if err != nil {
		return say("cannot harden", err)
	}
	o, err := parse(arguments)
	if err != nil {
		return say("cannot serve", err)
	}
	terminated, err := watchTermination()
	if err != nil {
		return say("cannot watch signals", err)
	}
	server, err := newServer(o)
	if err != nil {
		return say("cannot open the root directory", err)
	}
	listener, err := listen(safe, o.socket)
	if err != nil {
		return say("cannot listen", err)
	}
	go func() {
		<-terminated
		server.stop()
	}()
	go server.emptyTrash()
	go server.watchDeadline()
	go server.watchMemory()
	go server.watchDisk()
	go server.writeContainerLog()
	go server.children.reapOrphansForEver()
	go server.accept(listener)
	return <-server.exit
}
