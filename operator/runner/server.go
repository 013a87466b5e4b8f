package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const helloTime = 10 * time.Second // for an agent to say who it is

// server is one runner: its runs, and the one agent that it serves. Locks: server.mu before run.mu.
type server struct {
	options
	root      *os.Root
	rootPath  string
	bootID    string
	env       []string // the container's, without BATCHPOOLS_*
	children  children
	daemons   daemons
	sightings sightings
	forks     sync.RWMutex // held for reading while a run is forked

	mu       sync.Mutex
	runs     map[string]*run
	finished map[string]finished
	order    []string // ids of finished, oldest first
	acked    map[string]time.Time
	pruned   time.Time
	stopping bool
	deadline float64 // CLOCK_BOOTTIME until which we are vouched for; 0 = we are not
	agent    *connection
	idle     *sync.Cond // signalled when a run ended or was acknowledged

	exit  chan int
	lines chan []byte // for the container's log
}

func newServer(o options) (*server, error) {
	root, err := openRoot(o.root)
	if err != nil {
		return nil, err
	}
	s := &server{
		options: o, root: root, rootPath: o.root, bootID: randomHex(), env: containerEnvironment(os.Environ()),
		children: children{runs: map[int]struct{}{}}, runs: map[string]*run{}, finished: map[string]finished{},
		acked: map[string]time.Time{}, exit: make(chan int, 1), lines: make(chan []byte, logAhead),
	}
	s.idle = sync.NewCond(&s.mu)
	return s, s.ownLayout()
}

// accept serves whoever connects as the agent's user. A task that connects is sent away here: it costs no goroutine.
func (s *server) accept(listener net.Listener) {
	refused := 0
	for {
		accepted, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log("cannot accept", "error", err.Error())
			time.Sleep(time.Second) // no descriptors: they may come back
			continue
		}
		socket := accepted.(*net.UnixConn)
		uid, err := peerUID(socket)
		if err == nil && (s.agentUID < 0 || uid == s.agentUID) {
			go s.serveConnection(socket)
			continue
		}
		socket.Close()
		if refused++; refused == 1 {
			log("refused a connection; the next ones are not logged", "uid", uid)
		}
	}
}

func (s *server) serveConnection(socket *net.UnixConn) {
	defer socket.Close()
	in := bufio.NewReaderSize(socket, 32<<10)
	_ = socket.SetReadDeadline(time.Now().Add(helloTime))
	first, err := readFrame(in)
	if err != nil || first.Op != "hello" {
		log("closed a connection without hello")
		return
	}
	_ = socket.SetReadDeadline(time.Time{})
	agent := newConnection(socket)
	if first.Version != protocolVersion {
		text := fmt.Sprintf("the runner speaks protocol %d, the agent %d", protocolVersion, first.Version)
		agent.send(note{Op: "refused", Message: text})
		agent.close()
		return
	}
	s.adopt(agent)
	for {
		message, err := readFrame(in)
		if err != nil {
			break
		}
		s.handle(agent, message)
	}
	s.release(agent)
}

func (s *server) handle(agent *connection, message request) {
	switch message.Op {
	case "run":
		s.start(agent, message)
	case "kill":
		s.kill(agent, message)
	case "put", "begin", "fail":
		s.bring(agent, message)
	case "deadline":
		s.setDeadline(agent, message)
	case "ack":
		s.acknowledge(message.IDs)
	case "read":
		agent.send(s.read(message))
	case "usage":
		agent.send(s.usage(message))
	case "list":
		agent.send(s.list(message))
	case "remove":
		s.remove(agent, message)
	case "exit":
		s.leave(agent, message)
	case "restart":
		s.restart(agent, message)
	default:
		agent.send(note{Op: "error", Req: message.Req, Code: "Unknown", Message: "unknown op " + shorten(message.Op)})
	}
}

// start launches a run; an id that is known is answered with what is known of it.
//
// What an older connection still had to say does not count: its agent has been told that the run is not there.
func (s *server) start(agent *connection, message request) {
	if message.ID == "" || encodedSize(message.ID) > maxID || encodedSize(message.Label) > maxLabel {
		text := fmt.Sprintf("an id has 1 to %d bytes, a label at most %d", maxID, maxLabel)
		agent.send(note{Op: "error", Code: "BadRequest", Message: text})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != agent {
		return
	}
	if known, there := s.runs[message.ID]; there {
		if told := known.started(); told.StartedAt > 0 {
			s.tell(told)
		}
		return
	}
	if known, there := s.finished[message.ID]; there {
		s.tell(known)
		return
	}
	if _, there := s.acked[message.ID]; there { // it ran: at most one run for an id
		s.tell(note{Op: "unknown", ID: message.ID})
		return
	}
	if s.stopping {
		s.tell(finished{Op: "finished", ID: message.ID, Label: message.Label, Cause: causeStopping, EndedAt: seconds(time.Now())})
		return
	}
	if !message.StartTask && !s.isVouchedFor() {
		now := seconds(time.Now())
		s.tell(finished{Op: "finished", ID: message.ID, Label: message.Label, Cause: causeExpired, EndedAt: now, Message: whyExpired})
		return
	}
	r := newRun(message)
	s.runs[message.ID] = r
	go s.execute(r)
}

func (s *server) kill(agent *connection, message request) {
	s.mu.Lock()
	r, running := s.runs[message.ID]
	known, done := s.finished[message.ID]
	s.mu.Unlock()
	switch {
	case running:
		r.end(ending{cause: causeKilled, grace: message.Grace})
	case done:
		agent.send(known)
	default:
		agent.send(note{Op: "unknown", ID: message.ID})
	}
}

// allLive lists the runs that have not ended.
func (s *server) allLive() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live()
}

// isLive says whether a run has not been told to be over.
func (s *server) isLive(r *run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[r.request.ID] == r
}

// tellNow is tell without s.mu held.
func (s *server) tellNow(message any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(message)
}

// tell sends to the agent, if there is one; what matters is kept and sent again after its next hello.
func (s *server) tell(message any) {
	if s.agent != nil {
		s.agent.send(message)
	}
}
