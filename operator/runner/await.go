package main

import (
	"errors"
	"time"
)

// A run that awaits files is this runner's from the moment it is asked for: it keeps its directory and the node, it can be
// ended, it expires, and no other run has its id. Only its process is not there yet. The agent brings the files (put), and
// says that all are there (begin) or that one cannot be had (fail). A newer agent knows nothing of them: the run ends then.

const mostWaiting = 64 // messages for one run that wait for the disk

// brought is what an agent says of files; it is answered itself, whoever has its place by then.
type brought struct {
	agent   *connection
	message request
}

var errEndedBefore = errors.New("ended before it started")

// await takes files until the agent has said what becomes of the run. The string is the failure's code.
func (s *server) await(r *run) (string, error) {
	r.arrive(time.Now())
	s.tellNow(r.started())
	bringing := newDelivery(s, r.request)
	defer bringing.drop()
	for {
		select {
		case <-r.asked:
			return "", errEndedBefore
		case one := <-r.inbox:
			switch one.message.Op {
			case "begin":
				return "", nil
			case "fail":
				return one.message.Failure, errors.New(shorten(one.message.Text))
			default:
				one.agent.send(bringing.put(one.message))
			}
		}
	}
}

// bring hands a message about files to the run that awaits them.
func (s *server) bring(agent *connection, message request) {
	s.mu.Lock()
	r, there := s.runs[message.ID]
	there = there && s.agent == agent
	s.mu.Unlock()
	one := brought{agent, message}
	if !there || !r.take(one) {
		one.refuse()
	}
}

// take puts a message into a run's inbox; false when it awaits nothing, or has too much to do already.
func (r *run) take(one brought) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.awaiting {
		return false
	}
	select {
	case r.inbox <- one:
		return true
	default:
		return false
	}
}

// arrive notes when a run began that has no process yet.
func (r *run) arrive(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startedAt = at
}

// isAwaiting says whether its files are still being brought.
func (r *run) isAwaiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.awaiting
}

// refuse answers what is not looked at.
func (b brought) refuse() {
	if b.message.Op == "put" {
		b.agent.send(refusal(b.message, "NotAwaiting", "no run awaits that file"))
	}
}

// closeInbox takes nothing more.
func (r *run) closeInbox() {
	r.mu.Lock()
	r.awaiting = false
	r.mu.Unlock()
	for {
		select {
		case one := <-r.inbox:
			one.refuse()
		default:
			return
		}
	}
}
