package main

import (
	"os"
	"syscall"
	"time"
)

// Strays (safety rule S8.4): what a hostile task left by cleaning its environment and leaving its group. No mark tells
// whose they are, but when their parents end they become our children. When no run is live they can be nobody's that
// counts, and are killed, before the last run is told to be over and before another one begins.
//
// A shell that somebody opened in the container (kubectl exec) has no parent here, and stays; what it leaves behind does not.

const strayPatience = 10 * time.Second

// clear kills all strays if no other run is live. Runs that wait to be forked wait for it.
func (s *server) clear(ended *run) {
	if !haveChildren() || s.isAnotherLive(ended) {
		return
	}
	s.forks.Lock()
	defer s.forks.Unlock()
	if s.isAnotherLive(ended) {
		return
	}
	for end := time.Now().Add(strayPatience); s.children.killOrphans(s.isStray); {
		if time.Now().After(end) {
			log("processes that a task left behind do not die")
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// isStray says whether a child that is no run is nobody's. What a start task left running is the node's.
func (s *server) isStray(pid int) bool { return !s.daemons.holds(pid) }

// isAnotherLive says whether the main process of another run exists and has not ended.
func (s *server) isAnotherLive(ended *run) bool {
	for _, r := range s.allLive() {
		if r != ended && r.isGoingOn() {
			return true
		}
	}
	return false
}

func (r *run) isGoingOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pid > 0 && !r.gone
}

// killOrphans kills those of our children that are no run's main process and that `which` picks, and reaps those that
// have ended. It says whether it found one: its children are ours as soon as it is dead.
func (c *children) killOrphans(which func(pid int) bool) bool {
	c.mu.Lock() // no child is being forked, and none can be reaped and its id reused
	defer c.mu.Unlock()
	self, found := os.Getpid(), false
	for _, pid := range processIDs() {
		child := processOf(pid)
		if _, isRun := c.runs[pid]; child.parent != self || isRun || !which(pid) {
			continue
		}
		found = true // also a dead one: it may have forked just before its end
		if child.state == 'Z' {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return found
}
