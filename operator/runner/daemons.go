package main

import (
	"os"
	"sync"
)

// daemons knows what a start task that succeeded in the task container left running, for the tasks to use: background
// processes of the node, which no task's end ends. They are told by the start task's cookie, or by their session: nobody
// can enter another one's session, so a daemon's workers count as its, also when it has overwritten its environment.
//
// Until the first task begins a daemon may still be on its way into a session of its own, so they are looked for again then.
type daemons struct {
	mu       sync.Mutex
	open     bool // a start task succeeded, and no task was begun since
	tasks    bool // a task was begun at some time: what has no parent any more may be its
	cookies  []string
	sessions map[int]struct{}
}

// keep lets stay what a start task has left.
func (d *daemons) keep(r *run) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = true
	d.cookies = append(d.cookies, r.cookie)
	d.learn(r.pid)
}

// close looks for the last time: from here on new processes may be tasks'.
func (d *daemons) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		d.open = false
		d.learn(0)
	}
	d.tasks = true
}

// learn notes the sessions of all that carries a start task's mark, and of all that came to us when its parent ended:
// before the first task nobody else has left anything. With d.mu held.
func (d *daemons) learn(session int) {
	if d.sessions == nil {
		d.sessions = map[int]struct{}{}
	}
	if session > 0 {
		d.sessions[session] = struct{}{}
	}
	self := os.Getpid()
	own := processOf(self).session
	for _, pid := range processIDs() {
		one := processOf(pid)
		if one.session != own && one.session != 0 && (one.parent == self && !d.tasks || d.isMarked(pid)) {
			d.sessions[one.session] = struct{}{}
		}
	}
}

// holds says whether a process is one of them.
func (d *daemons) holds(pid int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cookies) == 0 {
		return false
	}
	_, known := d.sessions[processOf(pid).session]
	return known || d.isMarked(pid)
}

func (d *daemons) isMarked(pid int) bool {
	for _, cookie := range d.cookies {
		if marked(pid, []byte(cookieName+cookie)) {
			return true
		}
	}
	return false
}
