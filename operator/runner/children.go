package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// children knows which of this process's children are runs; all others are orphans that came to us.
type children struct {
	mu   sync.Mutex
	runs map[int]struct{}
}

// fork starts a run's main process. The lock keeps the reaper of orphans from a child that is not written down yet.
func (c *children) fork(program string, argv []string, attributes *syscall.ProcAttr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(program, argv, attributes)
	if err == nil {
		c.runs[pid] = struct{}{}
	}
	return pid, err
}

// reap takes the status of a run that has ended; from here on its process id may be another's.
func (c *children) reap(pid int) (status syscall.WaitStatus, usage syscall.Rusage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if _, err := syscall.Wait4(pid, &status, 0, &usage); err != syscall.EINTR {
			break
		}
	}
	delete(c.runs, pid)
	return status, usage
}

// peek waits for the end of a child without reaping it: its process and group id stay its own.
func peek(pid int) { _ = endOf(pid) }

// succeeded says whether a child that has ended, and was not reaped, left with exit code 0.
func succeeded(pid int) bool {
	const exited = 1 // CLD_EXITED
	end := endOf(pid)
	return end.code == exited && end.status == 0
}

// childEnd is the kernel's siginfo_t of a child's end, the same on amd64 and arm64.
type childEnd struct {
	signal, errno, code, _ int32
	pid, uid, status       int32
	_                      [100]byte
}

func endOf(pid int) childEnd {
	const pPid, exited, noWait = 1, 0x4, 0x1000000
	var end childEnd
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_WAITID, pPid, uintptr(pid), uintptr(unsafe.Pointer(&end)), exited|noWait, 0, 0)
		if e != syscall.EINTR {
			return end
		}
	}
}

// reapOrphansForEver reaps orphans soon after they end.
func (c *children) reapOrphansForEver() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	for range ends {
		time.Sleep(200 * time.Millisecond) // one look for a burst of ends
		c.reapOrphans()
	}
}

// reapOrphans reaps the zombies of ours that are nobody's run.
func (c *children) reapOrphans() {
	self := os.Getpid()
	for _, pid := range processIDs() {
		if parent, state := kinship(pid); state != 'Z' || parent != self {
			continue
		}
		c.mu.Lock()
		if _, ours := c.runs[pid]; !ours {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		c.mu.Unlock()
	}
}
