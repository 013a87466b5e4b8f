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
func peek(pid int) { _, _ = waitID(pPid, pid, 0) }

// succeeded says whether a child that has ended, and was not reaped, left with exit code 0.
func succeeded(pid int) bool {
	const exited = 1 // CLD_EXITED
	end, _ := waitID(pPid, pid, 0)
	return end.code == exited && end.status == 0
}

// haveChildren says whether this process has any child, also a dead one: it is cheaper than to look for them.
func haveChildren() bool {
	_, e := waitID(pAll, 0, noHang)
	return e != syscall.ECHILD
}

// childEnd is the kernel's siginfo_t of a child's end, the same on amd64 and arm64.
type childEnd struct {
	signal, errno, code, _ int32
	pid, uid, status       int32
	_                      [100]byte
}

const (
	pAll, pPid = 0, 1
	noHang     = 0x1
)

// waitID is waitid of children that have ended, none of which it reaps; all zero when there is none and it does not hang.
func waitID(kind, id, options int) (end childEnd, e syscall.Errno) {
	const exited, noWait = 0x4, 0x1000000
	flags := uintptr(exited | noWait | options)
	for {
		_, _, e = syscall.Syscall6(syscall.SYS_WAITID, uintptr(kind), uintptr(id), uintptr(unsafe.Pointer(&end)), flags, 0, 0)
		if e != syscall.EINTR {
			return end, e
		}
	}
}

// reapOrphansForEver reaps orphans soon after they end.
func (c *children) reapOrphansForEver() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	for range ends {
		for again := true; again; again = c.reapOrphans() {
			time.Sleep(200 * time.Millisecond) // one look for a burst of ends
		}
	}
}

// reapOrphans reaps our zombies that are nobody's run, until it meets one that is, behind which there may be more.
func (c *children) reapOrphans() (more bool) {
	for {
		c.mu.Lock()
		end, _ := waitID(pAll, 0, noHang)
		pid := int(end.pid)
		_, isRun := c.runs[pid]
		if pid > 0 && !isRun {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		c.mu.Unlock()
		if pid == 0 || isRun {
			return isRun
		}
	}
}
