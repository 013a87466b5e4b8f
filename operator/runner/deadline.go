package main

import (
	"slices"
	"syscall"
	"time"
	"unsafe"
)

// The dead-man timer (safety rule S3.1). It sits here, since an agent can be killed, stopped or cut off while tasks go on:
// a node that no leader has vouched for until the deadline ends its runs at once, and starts none without a standing one.

const deadlineLook = 250 * time.Millisecond // also how late a machine that slept notices that its time is over

const whyExpired = "no leader has vouched for this node in time"

// bootSeconds is CLOCK_BOOTTIME, which goes on while the machine sleeps, and is the same in all containers of a pod.
func bootSeconds() float64 {
	const clockBoottime = 7
	var at syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&at)), 0)
	return float64(at.Sec) + float64(at.Nsec)/1e9
}

// setDeadline takes the agent's word for how long the node is vouched for. The last word counts, also an earlier time.
func (s *server) setDeadline(agent *connection, message request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent == agent && message.At > 0 {
		s.deadline = message.At
	}
}

// isVouchedFor says whether runs may start and go on. A start task runs before anybody vouches. With s.mu held.
func (s *server) isVouchedFor() bool {
	return s.mode == modeStartTask || bootSeconds() < s.deadline
}

// watchDeadline ends all runs when the deadline has passed.
func (s *server) watchDeadline() {
	for range time.Tick(deadlineLook) {
		s.expire()
	}
}

func (s *server) expire() {
	s.mu.Lock()
	if s.deadline == 0 || s.isVouchedFor() {
		s.mu.Unlock()
		return
	}
	s.deadline = 0
	live := s.liveTasks()
	s.mu.Unlock()
	for _, r := range live {
		r.end(ending{cause: causeExpired, message: whyExpired})
	}
	if len(live) > 0 {
		log("ended all runs: "+whyExpired, "runs", len(live))
	}
}

// liveTasks lists those of them that are no start task: only they have to end when nobody vouches. With s.mu held.
func (s *server) liveTasks() []*run {
	return slices.DeleteFunc(s.live(), func(r *run) bool { return r.request.StartTask })
}

// live lists the runs that have not ended, also those that are being launched. With s.mu held.
func (s *server) live() []*run {
	found := make([]*run, 0, len(s.runs))
	for _, r := range s.runs {
		found = append(found, r)
	}
	return found
}
