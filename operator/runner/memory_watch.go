package main

import (
	"fmt"
	"time"
)

// The memory watch (safety rule S8.5). On cgroup version 2 the kernel ends the whole container when its memory is full.
// Before it comes to that, the largest run is killed; and the agent is told which one that is, since it outlives us.

const (
	memoryLook  = 100 * time.Millisecond
	memoryCheck = 20 * time.Millisecond // when little is left
	memoryTell  = time.Second           // between two reports to the agent, unless another run is the largest now

	tellAbove  = 0.5 // of the limit
	checkAbove = 0.8
	killAbove  = 0.95
)

type memoryWatch struct {
	server    *server
	cgroup    *cgroup
	ownership ownership
	toldAt    time.Time
	told      string // the run that was named last
	spoke     bool   // and the agent was not told since that there is enough again
	dying     *run   // was killed: its memory comes back when it is over
}

// watchMemory looks while something runs.
func (s *server) watchMemory() {
	own := ownCgroup("/proc/self")
	if own == nil {
		log("this container's memory cgroup cannot be seen: its memory is not watched")
		return
	}
	watch := memoryWatch{server: s, cgroup: own, ownership: ownership{isStray: s.isStray}}
	for {
		time.Sleep(watch.look(time.Now()))
	}
}

// look does what has to be done now, and says when to look again.
func (w *memoryWatch) look(now time.Time) time.Duration {
	runs := w.server.allLive()
	if len(runs) == 0 && !w.spoke {
		return memoryLook
	}
	used, limit, ok := w.cgroup.sample()
	if !ok || limit == noLimit || float64(used) < tellAbove*float64(limit) {
		w.relax()
		return memoryLook
	}
	here := w.ownership.look(runs)
	sums := w.ownership.sum(here)
	largest := largestOf(runs, sums)
	if largest != nil {
		w.tell(now, memory{Op: "memory", ID: largest.request.ID, Bytes: sums[largest.request.ID], Used: used, Limit: limit})
	}
	if float64(used) >= killAbove*float64(limit) && w.isStill(runs, here) {
		w.relieve(largest, here, sums, used, limit)
	}
	if float64(used) >= checkAbove*float64(limit) {
		return memoryCheck
	}
	return memoryLook
}

// isStill says whether there is as little left after all processes have been looked at, and none of the runs has just
// ended: the kernel may have killed one meanwhile, and what it had must not be put down to the next largest.
func (w *memoryWatch) isStill(runs []*run, here map[int]owned) bool {
	for _, r := range runs {
		if told := r.started(); told.Pid > 0 {
			if _, lives := here[told.Pid]; !lives {
				return false
			}
		}
	}
	used, limit, ok := w.cgroup.sample()
	return ok && float64(used) >= killAbove*float64(limit)
}

// relieve kills what has the most, and waits until that is over before it kills more.
func (w *memoryWatch) relieve(largest *run, here map[int]owned, sums map[string]int64, used, limit int64) {
	if w.dying != nil && w.server.isLive(w.dying) {
		return
	}
	w.dying = nil
	if largest == nil || sums[""] > sums[largest.request.ID] {
		w.server.children.killOrphans(func(pid int) bool {
			one, seen := here[pid]
			return seen && one.owner == ""
		})
		return
	}
	w.dying = largest
	text := fmt.Sprintf("the node's container used %s of its %s of memory, and this task the most of it: %s",
		mebibytes(used), mebibytes(limit), mebibytes(sums[largest.request.ID]))
	log("killed the largest run: memory is nearly full", "run", largest.request.ID, "used", used, "limit", limit)
	largest.end(ending{causeOutOfMemory, "OutOfMemory", text, 0})
}

// tell names the largest run to the agent: at once when it is another one, else now and then.
func (w *memoryWatch) tell(now time.Time, told memory) {
	if w.spoke && told.ID == w.told && now.Sub(w.toldAt) < memoryTell {
		return
	}
	w.spoke, w.told, w.toldAt = true, told.ID, now
	w.server.tellNow(told)
}

// relax tells the agent once that memory is not scarce any more.
func (w *memoryWatch) relax() {
	if w.spoke {
		w.spoke = false
		w.server.tellNow(memory{Op: "memory"})
	}
}

// largestOf is the run with the most; of equals the one with the lower id; nil when there is none.
func largestOf(runs []*run, sums map[string]int64) *run {
	var largest *run
	for _, r := range runs {
		id, size := r.request.ID, sums[r.request.ID]
		if largest == nil || size > sums[largest.request.ID] || (size == sums[largest.request.ID] && id < largest.request.ID) {
			largest = r
		}
	}
	return largest
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
