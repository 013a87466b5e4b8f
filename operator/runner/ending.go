package main

import (
	"fmt"
	"syscall"
	"time"
)

// ending says why we end a run, and how many seconds lie between SIGTERM and SIGKILL.
type ending struct {
	cause   string
	code    string
	message string
	grace   float64
}

// begin notes the process; an end that was asked for while it was being forked is carried out now.
func (r *run) begin(pid int, at time.Time) {
	r.mu.Lock()
	r.pid = pid
	if r.startedAt.IsZero() {
		r.startedAt = at
	}
	why := r.why
	r.mu.Unlock()
	if why != nil {
		r.terminate(why.grace)
	}
}

// end asks a run to end: SIGTERM to its group, SIGKILL after the grace. The first to ask gives the cause; a later one
// with a shorter grace can only hasten it. A run that has ended by itself keeps its own cause.
func (r *run) end(why ending) {
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return
	}
	first := r.why == nil
	if first {
		r.why = &why
	} else {
		r.why.grace = min(r.why.grace, why.grace) // for begin
	}
	started := r.pid > 0
	r.mu.Unlock()
	switch {
	case !started: // await, fork or begin sees it
		if first {
			close(r.asked)
		}
	case first:
		r.terminate(why.grace)
	default:
		go r.killAfter(why.grace)
	}
}

// terminate sends SIGTERM, and SIGKILL after the grace; without one SIGKILL at once (safety rule S6.3).
func (r *run) terminate(grace float64) {
	if grace <= 0 {
		r.signal(syscall.SIGKILL)
		return
	}
	r.signal(syscall.SIGTERM)
	go r.killAfter(grace)
}

func (r *run) killAfter(grace float64) {
	timer := time.NewTimer(duration(grace))
	defer timer.Stop()
	select {
	case <-r.ended:
	case <-timer.C:
		r.signal(syscall.SIGKILL)
	}
}

// signal reaches the group only while its leader has not been reaped: a reused id is never hit.
func (r *run) signal(number syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid > 0 && !r.gone {
		_ = syscall.Kill(-r.pid, number)
	}
}

// leave notes that the main process has ended: from here on no signal is sent and the cause is settled.
func (r *run) leave() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	close(r.ended)
	return time.Now()
}

func (r *run) askedToEnd() bool { return r.reason() != nil }

func (r *run) reason() *ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}

// watchOutput ends a run whose stdout and stderr together pass the limit; it looks once a second. It looks at the files
// that the run was given, whatever the task has done to their names.
func (r *run) watchOutput(files *outputs) {
	limit := r.request.MaxOutputBytes
	if limit <= 0 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-r.ended:
			return
		case <-tick.C:
			if size := files.size(); size > limit {
				text := fmt.Sprintf("stdout.txt and stderr.txt hold %d bytes, more than %d", size, limit)
				r.end(ending{causeOutputLimit, "DiskFull", text, r.request.KillGrace})
				return
			}
		}
	}
}
