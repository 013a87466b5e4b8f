package main

import (
	"bytes"
	"os"
)

// ownership says whose each process is. A process that was once seen to be a run's stays its, also when it cleans its
// environment and leaves its group later.
//
// isStray says of one that is no run's whether it is nobody's; nil = each is.
type ownership struct {
	known   map[identity]string
	isStray func(pid int) bool
}

// identity is a process id together with the time of its start.
type identity struct {
	pid     int
	started uint64
}

const stranger = "\x00" // neither ours nor a run's: the runner itself, or a shell that somebody opened in the container

// owned is a process and the id of the run that it is of, or "" for a stray: one that came to us when its parent ended,
// and that no live run can be told for.
type owned struct {
	process
	owner string
}

// sum adds up memory by owner.
func (o *ownership) sum(here map[int]owned) map[string]int64 {
	sums := map[string]int64{}
	for pid, one := range here {
		if one.owner != stranger {
			sums[one.owner] += memoryOf(pid)
		}
	}
	return sums
}

// look finds all processes and their owners among the live runs.
func (o *ownership) look(runs []*run) map[int]owned {
	found := o.find(runs)
	lives, known := map[string]bool{stranger: true}, make(map[identity]string, len(found))
	for _, r := range runs {
		lives[r.request.ID] = true
	}
	for pid, one := range found {
		if !lives[one.owner] {
			found[pid] = owned{one.process, ""} // its run has ended without it
		} else if one.owner != stranger {
			known[identity{pid, one.started}] = one.owner
		}
	}
	o.known = known
	return found
}

func (o *ownership) find(runs []*run) map[int]owned {
	groups, cookies := map[int]string{}, map[string]string{}
	for _, r := range runs {
		if told := r.started(); told.Pid > 0 {
			groups[told.Pid] = told.ID
		}
		if r.cookie != "" {
			cookies[r.cookie] = r.request.ID
		}
	}
	here := map[int]process{}
	for _, pid := range processIDs() {
		if found := processOf(pid); found.state != 0 && found.state != 'Z' {
			here[pid] = found
		}
	}
	found, self := make(map[int]owned, len(here)), os.Getpid()
	var ownerOf func(pid, depth int) string
	ownerOf = func(pid, depth int) string {
		one, there := here[pid]
		if !there || pid == self || depth > len(here) {
			return stranger
		}
		if before, done := found[pid]; done {
			return before.owner
		}
		owner, there := o.known[identity{pid, one.started}]
		if !there {
			owner, there = groups[one.group]
		}
		if !there {
			owner, there = cookies[cookieOf(pid)]
		}
		switch {
		case there:
		case o.isStray != nil && !o.isStray(pid):
			owner = stranger // a daemon of the node
		case one.parent == self:
			owner = ""
		default:
			owner = ownerOf(one.parent, depth+1)
		}
		found[pid] = owned{one, owner}
		return owner
	}
	for pid := range here {
		ownerOf(pid, 0)
	}
	return found
}

// cookieOf is the cookie in a process's initial environment; "" when there is none to be seen.
func cookieOf(pid int) string {
	environment, err := environmentOf(pid)
	if err != nil {
		return ""
	}
	for pair := range bytes.SplitSeq(environment, []byte{0}) {
		if value, is := bytes.CutPrefix(pair, []byte(cookieName)); is {
			return string(value)
		}
	}
	return ""
}
