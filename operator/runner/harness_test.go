package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The tests speak to a real runner process over a real socket, as the agent does.

func TestMain(m *testing.M) {
	if os.Getenv("RUNNER_UNDER_TEST") == "1" {
		os.Args = append([]string{"runner"}, os.Args[1:]...)
		main()
		return
	}
	os.Exit(m.Run())
}

type message map[string]any

type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

type fixture struct {
	t       *testing.T
	root    string
	socket  string
	process *exec.Cmd
}

// begin starts a runner with extra flags.
func begin(t *testing.T, flags ...string) *fixture {
	t.Helper()
	folder, err := os.MkdirTemp("", "run") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, root: filepath.Join(folder, "root"), socket: filepath.Join(folder, "s")}
	if err := os.Mkdir(f.root, 0o755); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"serve", "--socket", f.socket, "--root", f.root}, flags...)
	f.process = exec.Command(os.Args[0], arguments...)
	f.process.Env = append(os.Environ(), "RUNNER_UNDER_TEST=1", "BATCHPOOLS_SECRET=x")
	if err := f.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.process.Process.Kill()
		_, _ = f.process.Process.Wait()
		os.RemoveAll(folder)
	})
	return f
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

// hello connects as the agent and returns what the runner says of itself.
func (f *fixture) hello() (*peer, message) {
	f.t.Helper()
	p := f.dial()
	p.send(message{"op": "hello", "version": protocolVersion})
	return p, p.next("hello")
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

// finish runs a script and returns how it ended.
func (p *peer) finish(id, script string, more message) message {
	p.t.Helper()
	p.run(id, script, more)
	done := p.next("finished")
	p.send(message{"op": "ack", "ids": []string{id}})
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
