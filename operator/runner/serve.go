package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const ackedKept = 10 * time.Minute

// server is one runner: its runs, and the one agent that it serves.
type server struct {
	root        *os.Root
	rootPath    string
	mode        string
	agentUID    int
	stopTimeout time.Duration
	bootID      string
	env         []string // the container's, without BATCHPOOLS_*

	mu       sync.Mutex
	runs     map[string]*run
	finished map[string]finished
	order    []string // ids of finished, oldest first
	acked    map[string]time.Time
	pruned   time.Time
	stopping bool
	agent    *connection
	idle     *sync.Cond // signalled when a run ended or was acknowledged

	exit chan int
}

func serve(arguments []string) int {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	socket := flags.String("socket", "", `where the agent connects; a leading "@" names an abstract socket`)
	root := flags.String("root", "", "the node's root directory")
	mode := flags.String("mode", "serve", "serve, or start-task: may be told to exit")
	agentUID := flags.Int("agent-uid", -1, "the only user that is served; -1 serves any")
	stopTimeout := flags.Duration("stop-timeout", 30*time.Second, "how long to wait for the agent after SIGTERM")
	_ = flags.Parse(arguments)

	if err := harden(); err != nil {
		return say("cannot harden", err)
	}
	server, err := newServer(*root, *mode, *agentUID, *stopTimeout)
	if err != nil {
		return say("cannot open the root directory", err)
	}
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		return say("cannot listen", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		server.stop()
	}()
	go server.reapStrangers()
	go server.accept(listener)
	return <-server.exit
}

func newServer(root, mode string, agentUID int, stopTimeout time.Duration) (*server, error) {
	opened, err := openRoot(root)
	if err != nil {
		return nil, err
	}
	s := &server{
		root: opened, rootPath: root, mode: mode, agentUID: agentUID, stopTimeout: stopTimeout,
		bootID: randomHex(), env: containerEnvironment(os.Environ()),
		runs: map[string]*run{}, finished: map[string]finished{}, acked: map[string]time.Time{}, exit: make(chan int, 1),
	}
	s.idle = sync.NewCond(&s.mu)
	return s, nil
}

// harden keeps tasks of the same user from tracing this process, and makes orphans ours to reap.
func harden() error {
	const setDumpable, setChildSubreaper = 4, 36
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); e != 0 {
		return e
	}
	return nil
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			s.exit <- say("cannot accept", err)
			return
		}
		go s.serveConnection(conn.(*net.UnixConn))
	}
}

func (s *server) serveConnection(socket *net.UnixConn) {
	defer socket.Close()
	if uid, err := peerUID(socket); err != nil || (s.agentUID >= 0 && uid != s.agentUID) {
		log("refused a connection", "uid", uid)
		return
	}
	in := bufio.NewReaderSize(socket, 32<<10)
	first, err := readFrame(in)
	if err != nil || first.Op != "hello" {
		log("refused a connection without hello")
		return
	}
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

// adopt makes this connection the agent's: it is told everything that is going on.
func (s *server) adopt(agent *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != nil {
		s.agent.close()
	}
	s.agent = agent
	reply := helloReply{
		Op: "hello", Version: protocolVersion, BootID: s.bootID, Mode: s.mode, Env: s.env,
		Running: []started{}, Finished: []finished{}, Acked: []string{},
	}
	for id := range s.acked {
		reply.Acked = append(reply.Acked, id)
	}
	for _, run := range s.runs {
		reply.Running = append(reply.Running, run.started())
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
	agent.close()
}

func (s *server) handle(agent *connection, message request) {
	switch message.Op {
	case "run":
		s.start(agent, message)
	case "kill":
		s.kill(agent, message)
	case "ack":
		s.acknowledge(message.IDs)
	case "read":
		agent.send(s.read(message))
	case "list":
		agent.send(s.list(message))
	case "remove":
		go func() { agent.send(s.remove(message)) }()
	case "exit":
		s.leave(agent, message)
	default:
		agent.send(note{Op: "error", Req: message.Req, Code: "Unknown", Message: "unknown op " + message.Op})
	}
}

// tell sends to the agent, if there is one; what matters is kept and sent again after its next hello.
func (s *server) tell(message any) {
	if s.agent != nil {
		s.agent.send(message)
	}
}

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

// leave ends this process as the agent asks; only a start task's runner may be told so.
func (s *server) leave(agent *connection, message request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode != "start-task" || len(s.runs) > 0 {
		agent.send(note{Op: "error", Code: "Refused", Message: "this runner does not leave now"})
		return
	}
	agent.send(note{Op: "bye"})
	agent.close()
	s.exit <- message.Code
}

// connection writes messages in order and flushes when none is waiting.
type connection struct {
	socket *net.UnixConn
	queue  chan any
	done   chan struct{}
	once   sync.Once
	ended  chan struct{}
}

func newConnection(socket *net.UnixConn) *connection {
	c := &connection{socket: socket, queue: make(chan any, 4096), done: make(chan struct{}), ended: make(chan struct{})}
	go c.write()
	return c
}

// send queues a message; an agent that does not read for long loses its connection, not its messages.
func (c *connection) send(message any) {
	select {
	case <-c.done:
	case c.queue <- message:
	default:
		c.socket.Close()
	}
}

// close writes what is queued, then closes.
func (c *connection) close() {
	c.once.Do(func() { close(c.done) })
	select {
	case <-c.ended:
	case <-time.After(time.Second):
	}
	c.socket.Close()
}

func (c *connection) write() {
	defer close(c.ended)
	out := bufio.NewWriterSize(c.socket, 32<<10)
	for {
		select {
		case message := <-c.queue:
			if writeFrame(out, message) != nil {
				return
			}
			if len(c.queue) == 0 && out.Flush() != nil {
				return
			}
		case <-c.done:
			for len(c.queue) > 0 {
				if writeFrame(out, <-c.queue) != nil {
					return
				}
			}
			_ = out.Flush()
			return
		}
	}
}

func peerUID(socket *net.UnixConn) (int, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid := -1
	var failed error
	err = raw.Control(func(fd uintptr) {
		credentials, e := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if e != nil {
			failed = e
			return
		}
		uid = int(credentials.Uid)
	})
	if err == nil {
		err = failed
	}
	return uid, err
}

func containerEnvironment(all []string) []string {
	kept := make([]string, 0, len(all))
	for _, pair := range all {
		if !strings.HasPrefix(pair, "BATCHPOOLS_") {
			kept = append(kept, pair)
		}
	}
	return kept
}

func randomHex() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

// log writes one structured line; the runner logs little.
func log(message string, pairs ...any) {
	line := map[string]any{"message": message, "time": time.Now().UTC().Format(time.RFC3339Nano)}
	for i := 0; i+1 < len(pairs); i += 2 {
		line[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	text, _ := json.Marshal(line)
	fmt.Fprintln(os.Stderr, string(text))
}

func say(message string, err error) int {
	log(message, "error", err.Error())
	return 1
}
