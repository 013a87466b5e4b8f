package main

import (
	"strings"
	"time"
)

// restartExitCode has the kubelet restart all containers of the pod (safety rule S6.4): the pod's restart rule names it, and
// nothing else ends this process with it. A task's own exit code is never this process's.
const restartExitCode = 77

const startTaskID = "start-task:" // the ids of a start task's runs begin with it

// stop is what SIGTERM means: start nothing more, end every run, wait until the agent has the results, leave.
//
// No run gets more than half of the time, whatever its own grace: the rest is for telling what became of it.
func (s *server) stop() {
	s.mu.Lock()
	s.stopping = true
	s.tell(note{Op: "stopping"})
	live := s.live()
	s.mu.Unlock()
	longest := s.stopTimeout.Seconds() / 2
	for _, r := range live {
		r.end(ending{causeStopping, "", "the node's pod was told to stop", min(r.request.KillGrace, longest)})
	}
	timer := time.AfterFunc(s.stopTimeout, func() {
		log("leaving with results that nobody acknowledged")
		s.quit(0)
	})
	defer timer.Stop()
	s.mu.Lock()
	for len(s.runs) > 0 || s.isUntold() {
		s.idle.Wait()
	}
	agent := s.agent
	s.mu.Unlock()
	if agent != nil {
		agent.close()
	}
	s.quit(0)
}

// leave ends this process as the agent asks; only a start task's runner may be told so, when nothing runs.
func (s *server) leave(agent *connection, message request) {
	s.mu.Lock()
	refused := s.mode != modeStartTask || len(s.runs) > 0
	s.stopping = s.stopping || !refused // nothing starts between here and the end
	s.mu.Unlock()
	if refused {
		agent.send(note{Op: "error", Code: "Refused", Message: "this runner does not leave now"})
		return
	}
	agent.send(note{Op: "bye"})
	agent.close()
	s.quit(message.Code)
}

// restart ends this process so that all containers of the pod begin anew: once for a boot id, and only when no task runs
// and no result is left that the agent has not been told to forget (safety rule S6.4). A start task goes with it.
// Dry: it says whether it would, for another container's runner is to leave.
func (s *server) restart(agent *connection, message request) {
	s.mu.Lock()
	refused := s.mode != modeServe || s.stopping || message.Boot != s.bootID || len(s.liveTasks()) > 0 || s.isUntold()
	s.stopping = s.stopping || (!refused && !message.Dry) // nothing starts between here and the end
	s.mu.Unlock()
	switch {
	case refused:
		agent.send(note{Op: "error", Req: message.Req, Code: "Refused", Message: "this runner does not restart now"})
	case message.Dry:
		agent.send(note{Op: "done", Req: message.Req})
	default:
		agent.send(note{Op: "bye", Req: message.Req})
		agent.close()
		s.quit(restartExitCode)
	}
}

// isUntold says whether there is a task's result that was not acknowledged. A start task's is kept for whoever asks. With s.mu held.
func (s *server) isUntold() bool {
	for id := range s.finished {
		if !strings.HasPrefix(id, startTaskID) {
			return true
		}
	}
	return false
}

// quit ends this process; the first to say so gives the exit code.
func (s *server) quit(code int) {
	select {
	case s.exit <- code:
	default:
	}
}
