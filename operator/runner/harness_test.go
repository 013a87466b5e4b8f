package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The tests speak to a real runner process over a real socket, as the agent does.

func TestMain(m *testing.M) {
	switch {
	case os.Getenv("RUNNER_TEST_GROW") != "":
		grow(os.Getenv("RUNNER_TEST_GROW"))
	case os.Getenv("RUNNER_TEST_FORGE") == "1":
		os.Exit(forgeSignals())
	case os.Getenv("RUNNER_UNDER_TEST") == "1":
		os.Args = append([]string{"runner"}, os.Args[1:]...)
		main()
	default:
		os.Exit(m.Run())
	}
}

type message map[string]any

type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader

	finishes int
}

type fixture struct {
	t       *testing.T
	root    string
	socket  string
	process *exec.Cmd
}

// setting is how a runner is started.
type setting struct {
	prelude string   // shell, before the runner takes the shell's place
	env     []string // beside the test's own
	uid     int      // 0: the test's own
	asInit  bool     // as PID 1 of a PID namespace of its own
	asleep  int      // seconds that the machine has slept: CLOCK_BOOTTIME is so much ahead of CLOCK_MONOTONIC
	files   []*os.File
	asRoot  bool // as a container's root: with a runtime's default capabilities, and no way to more
}

// begin starts a runner with extra flags.
func begin(t *testing.T, flags ...string) *fixture {
	t.Helper()
	return beginWith(t, setting{}, flags...)
}

func beginWith(t *testing.T, how setting, flags ...string) *fixture {
	t.Helper()
	folder, err := os.MkdirTemp("", "run") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, root: filepath.Join(folder, "root"), socket: filepath.Join(folder, "s")}
	if err := errors.Join(os.Mkdir(f.root, 0o755), install(folder), os.Chmod(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	script := "exec \"$0\" \"$@\""
	if how.prelude != "" {
		script = how.prelude + " && " + script
	}
	f.process = exec.Command("sh", "-c", script, filepath.Join(folder, "runner"), "serve", "--socket", f.socket, "--root", f.root)
	if how.asleep != 0 {
		f.process = slept(t, how.asleep, f.process.Args)
	}
	if how.asRoot {
		f.process = likeContainerRoot(t, f.process.Args)
	}
	f.process.Args = append(f.process.Args, flags...)
	f.process.Env = append(append(os.Environ(), "RUNNER_UNDER_TEST=1", "BATCHPOOLS_SECRET=x"), how.env...)
	f.process.ExtraFiles = how.files
	f.process.SysProcAttr = &syscall.SysProcAttr{}
	if how.asInit {
		ownNamespaces(f.process)
	}
	if how.uid != 0 {
		f.process.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(how.uid), Gid: uint32(how.uid)}
		if err := errors.Join(os.Chown(folder, how.uid, how.uid), os.Chown(f.root, how.uid, how.uid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.process.Start(); err != nil {
		os.RemoveAll(folder)
		if how.asInit && errors.Is(err, syscall.EPERM) {
			t.Skip("no right to make a PID namespace here: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.process.Process.Kill()
		_, _ = f.process.Process.Wait()
		if err := removeFolder(folder); err != nil {
			t.Error(err)
		}
	})
	return f
}

func removeFolder(folder string) error {
	parent, err := os.OpenRoot(filepath.Dir(folder))
	if err != nil {
		return err
	}
	defer parent.Close()
	return removeTree(parent, filepath.Base(folder))
}

// slept puts a command into a time namespace in which the machine has slept.
func slept(t *testing.T, seconds int, command []string) *exec.Cmd {
	enter := []string{"--time", "--boottime", strconv.Itoa(seconds)}
	if os.Getuid() != 0 {
		enter = append(enter, "--user", "--map-current-user")
	}
	if output, err := exec.Command("unshare", append(enter, "true")...).CombinedOutput(); err != nil {
		t.Skip("no right to make a time namespace here: ", string(output), err)
	}
	return exec.Command("unshare", append(enter, command...)...)
}

// likeContainerRoot takes from a command what a container's root has not. Above all it cannot trace other users' processes.
func likeContainerRoot(t *testing.T, command []string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be a container's root")
	}
	few := "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap"
	wrapped := append([]string{"--bounding-set", few, "--inh-caps", "-all", "--no-new-privs"}, command...)
	return exec.Command("setpriv", wrapped...)
}

// ownNamespaces makes a command PID 1 with a /proc of its own.
func ownNamespaces(command *exec.Cmd) {
	command.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	if os.Getuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	command.Args[2] = "mount --make-rprivate / && mount -t proc proc /proc && " + command.Args[2]
}

// otherUser is a user that is not root, for what root would be allowed anyway; 0, this one, when we are not root.
func otherUser() int {
	if os.Getuid() == 0 {
		return 12345
	}
	return 0
}

// left waits for the end of the runner and returns its exit code.
func (f *fixture) left() int {
	f.t.Helper()
	ended := make(chan int, 1)
	go func() {
		state, err := f.process.Process.Wait()
		if err != nil {
			ended <- -1
			return
		}
		ended <- state.ExitCode()
	}()
	select {
	case code := <-ended:
		return code
	case <-time.After(20 * time.Second):
		f.t.Fatal("the runner does not leave")
		return -1
	}
}

func (f *fixture) terminate() {
	f.t.Helper()
	if err := f.process.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
}

// outside makes a file beside the root, which no task may reach through the runner.
func (f *fixture) outside(name, content string) string {
	f.t.Helper()
	found := filepath.Join(filepath.Dir(f.root), name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(found), 0o755), os.WriteFile(found, []byte(content), 0o644)); err != nil {
		f.t.Fatal(err)
	}
	return found
}

func newTestServer(t testing.TB) *server {
	t.Helper()
	s, err := newServer(options{root: t.TempDir(), mode: modeServe, agentUID: -1, stopTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) dial() *peer {
	f.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.Dial("unix", f.socket)
		if err == nil {
			f.t.Cleanup(func() { conn.Close() })
			return &peer{t: f.t, conn: conn, in: bufio.NewReader(conn)}
		}
		if time.Now().After(deadline) {
			f.t.Fatal("no runner listens: ", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hello connects as the agent, vouches for an hour, and returns what the runner says of itself.
func (f *fixture) hello() (*peer, message) {
	f.t.Helper()
	p, told := f.strangeHello()
	p.vouch(time.Hour)
	return p, told
}

// strangeHello connects as an agent for which no leader has vouched.
func (f *fixture) strangeHello() (*peer, message) {
	f.t.Helper()
	p := f.dial()
	p.send(message{"op": "hello", "version": protocolVersion})
	return p, p.next("hello")
}

// settle waits until everything that was sent before has been handled.
func (p *peer) settle() {
	p.t.Helper()
	p.send(message{"op": "kill", "id": "nobody"})
	p.next("unknown")
}

func (p *peer) vouch(time time.Duration) {
	p.t.Helper()
	p.send(message{"op": "deadline", "at": bootSeconds() + time.Seconds()})
}

func (p *peer) send(m message) {
	p.t.Helper()
	body, _ := json.Marshal(m)
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := p.conn.Write(append(frame, body...)); err != nil {
		p.t.Fatal(err)
	}
}

// next skips to the next message of that op.
func (p *peer) next(op string) message {
	p.t.Helper()
	for {
		m, err := p.read()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", op, err)
		}
		if m["op"] == op {
			return m
		}
	}
}

func (p *peer) read() (message, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	var head [4]byte
	if _, err := io.ReadFull(p.in, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(p.in, body); err != nil {
		return nil, err
	}
	var m message
	return m, json.Unmarshal(body, &m)
}

// closed says whether the runner hangs up.
func (p *peer) closed() bool {
	for {
		if _, err := p.read(); err != nil {
			return true
		}
	}
}

func (p *peer) run(id, script string, more message) {
	m := message{"op": "run", "id": id, "dir": "workitems/j/" + id, "argv": []string{"sh", "-c", script}, "killGrace": 0.3}
	for key, value := range more {
		m[key] = value
	}
	p.send(m)
}

// finish runs a script in a task's directory, each time with another id, and returns how it ended.
func (p *peer) finish(task, script string, more message) message {
	p.t.Helper()
	p.finishes++
	m := message{"dir": "workitems/j/" + task}
	maps.Copy(m, more)
	p.run(fmt.Sprint(task, "#", p.finishes), script, m)
	done := p.next("finished")
	p.send(message{"op": "ack", "ids": []any{done["id"]}})
	return done
}

func (f *fixture) file(parts ...string) string {
	f.t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{f.root}, parts...)...))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(content)
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
