package main

import (
	"encoding/json"
	"time"
)

// What the runner remembers for an agent that comes back: live runs, results that were not acknowledged, and the ids of
// those that were, for a while.

const ackedKept = 10 * time.Minute

// adopt makes this connection the agent's: it is told everything that is going on.
func (s *server) adopt(agent *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != nil {
		s.agent.hangUp()
	}
	s.agent = agent
	reply := helloReply{
		Op: "hello", Version: protocolVersion, BootID: s.bootID, Mode: s.mode, Env: fitting(s.env),
		Running: []started{}, Finished: []finished{}, Acked: []string{}, Deadline: s.deadline,
	}
	for id := range s.acked {
		reply.Acked = append(reply.Acked, id)
	}
	for _, run := range s.runs {
		reply.Running = append(reply.Running, run.started())
		if run.isAwaiting() { // it is told below, after this hello
			run.end(ending{cause: causeBootLost, message: "the agent that was bringing its files is gone"})
		}
	}
	for _, id := range s.order {
		reply.Finished = append(reply.Finished, s.finished[id])
	}
	for len(reply.Finished) > finishedAtOnce || len(reply.Acked) > ackedAtOnce {
		results, ids := min(len(reply.Finished), finishedAtOnce), min(len(reply.Acked), ackedAtOnce)
		agent.send(known{Op: "known", Finished: reply.Finished[:results], Acked: reply.Acked[:ids]})
		reply.Finished, reply.Acked = reply.Finished[results:], reply.Acked[ids:]
	}
	agent.send(reply)
	if s.stopping {
		agent.send(note{Op: "stopping"})
	}
}

func (s *server) release(agent *connection) {
	s.mu.Lock()
	if s.agent == agent {
		s.agent = nil
	}
	s.mu.Unlock()
	agent.hangUp()
}

// acknowledge forgets results, but not at once that there were any.
func (s *server) acknowledge(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, id := range ids {
		if _, there := s.finished[id]; there {
			s.acked[id] = now
		}
		delete(s.finished, id)
	}
	if now.Sub(s.pruned) > ackedKept/10 {
		for id, at := range s.acked {
			if now.Sub(at) > ackedKept {
				delete(s.acked, id)
			}
		}
		s.pruned = now
	}
	kept := s.order[:0]
	for _, id := range s.order {
		if _, there := s.finished[id]; there {
			kept = append(kept, id)
		}
	}
	s.order = kept
	s.idle.Broadcast()
}

// fitting is the part of the environment that hello can hold beside everything else; runs get all of it.
func fitting(env []string) []string {
	kept, left := make([]string, 0, len(env)), maxToldEnv
	for _, pair := range env {
		if left -= encodedSize(pair) + 1; left < 0 {
			log("the environment is too large to be told whole", "bytes", maxToldEnv)
			break
		}
		kept = append(kept, pair)
	}
	return kept
}

// encodedSize is how many bytes a text takes in a frame.
func encodedSize(text string) int {
	encoded, _ := json.Marshal(text)
	return len(encoded)
}
