package main

import "time"

// stop is what SIGTERM means: start nothing more, end every run, wait until the agent has the results, leave.
func (s *server) stop() {
	s.mu.Lock()
	s.stopping = true
	s.tell(note{Op: "stopping"})
	live := make([]*run, 0, len(s.runs))
	for _, r := range s.runs {
		live = append(live, r)
	}
	s.mu.Unlock()
	for _, r := range live {
		s.end(r, ending{causeStopping, "", "the node's pod was told to stop"}, r.request.KillGrace)
	}
	timer := time.AfterFunc(s.stopTimeout, func() {
		log("leaving with results that nobody acknowledged")
		s.exit <- 0
	})
	defer timer.Stop()
	s.mu.Lock()
	for len(s.runs) > 0 || len(s.finished) > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	s.exit <- 0
}
