package main

import (
	"bytes"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// wait blocks until the run's main process has ended, kills whatever it left behind, and reaps it.
//
// The order matters: the zombie keeps its process and group id until wait4, so nobody else can have got them when the
// group is killed.
func (s *server) wait(r *run) (syscall.WaitStatus, syscall.Rusage) {
	peek(r.pid)
	close(r.ended)
	_ = syscall.Kill(-r.pid, syscall.SIGKILL)
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		_, err := syscall.Wait4(r.pid, &status, 0, &usage)
		if err != syscall.EINTR {
			break
		}
	}
	s.killMarked(r.cookie)
	return status, usage
}

// peek waits for the end of a child without reaping it.
func peek(pid int) {
	const pPid, exited, noWait = 1, 0x4, 0x1000000
	var info [128]byte
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_WAITID, pPid, uintptr(pid), uintptr(unsafe.Pointer(&info[0])), exited|noWait, 0, 0)
		if e != syscall.EINTR {
			return
		}
	}
}

// killMarked kills every process whose initial environment carries the cookie, until none is left: what called setsid
// or forked twice. A process that cleaned its environment is not found; it ends with the container.
func (s *server) killMarked(cookie string) {
	mark := []byte("BATCHPOOLS_COOKIE=" + cookie)
	for range 200 {
		found := false
		for _, process := range processes() {
			environment, err := os.ReadFile("/proc/" + strconv.Itoa(process.pid) + "/environ")
			if err == nil && bytes.Contains(environment, mark) {
				found = true
				_ = syscall.Kill(process.pid, syscall.SIGKILL)
			}
		}
		s.reapOrphans()
		if !found {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	log("processes of a run do not die")
}

// reapStrangers reaps orphans that came to us, soon after they end.
func (s *server) reapStrangers() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		time.Sleep(200 * time.Millisecond) // one look for a burst of ends
		s.reapOrphans()
	}
}

// reapOrphans waits for zombies of ours that are nobody's run.
func (s *server) reapOrphans() {
	self := os.Getpid()
	for _, process := range processes() {
		if process.state != 'Z' || process.parent != self {
			continue
		}
		s.mu.Lock()
		ours := false
		for _, r := range s.runs {
			ours = ours || r.pid == process.pid
		}
		if !ours { // under the lock: a run that is just being forked has its pid by now
			_, _ = syscall.Wait4(process.pid, nil, syscall.WNOHANG, nil)
		}
		s.mu.Unlock()
	}
}

type process struct {
	pid, parent int
	state       byte
}

// processes lists what /proc shows: in a container, this container's.
func processes() []process {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	found := make([]process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		found = append(found, process{pid: pid, parent: parent, state: fields[0][0]})
	}
	return found
}
