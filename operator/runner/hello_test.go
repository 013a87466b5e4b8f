package main

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveHere serves a server of this process, whose memory a test has filled.
func serveHere(t *testing.T, s *server) *peer {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go s.accept(listener)
	t.Cleanup(func() { listener.Close() })
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func TestALongMemoryIsToldInPartsBeforeHello(t *testing.T) {
	s := newTestServer(t)
	for i := range 30_000 {
		s.acked[fmt.Sprintf("0b6a8d0e-7c1f-4a69-9f39-8f8f1c1d7e55:-:1:%d", i)] = time.Now()
	}
	for i := range 250 {
		id := fmt.Sprint("unheard", i)
		s.finished[id], s.order = finished{Op: "finished", ID: id}, append(s.order, id)
	}
	p := serveHere(t, s)
	p.send(message{"op": "hello", "version": protocolVersion})
	acked, results := 0, 0
	for {
		m, err := p.read()
		if err != nil {
			t.Fatal(err)
		}
		acked += len(m["acked"].([]any))
		results += len(m["finished"].([]any))
		if m["op"] == "hello" {
			break
		}
		expect(t, "message before hello", m["op"], "known")
	}
	expect(t, "acknowledged ids", acked, 30_000)
	expect(t, "results", results, 250)
}

func TestARunThatIsBeingLaunchedStandsInHello(t *testing.T) {
	s := newTestServer(t)
	s.runs["a"] = &run{request: request{ID: "a", Label: "task-a"}} // its directories are being made
	p := serveHere(t, s)
	p.send(message{"op": "hello", "version": protocolVersion})
	running := p.next("hello")["running"].([]any)
	expect(t, "running", len(running), 1)
	told := running[0].(map[string]any)
	expect(t, "id", told["id"], "a")
	expect(t, "pid", told["pid"], 0.0)
	expect(t, "started at", told["startedAt"], 0.0)
}

func TestTheLargestHelloFitsInAFrame(t *testing.T) {
	s := newTestServer(t)
	s.env = []string{"A=" + strings.Repeat("<", 30_000), "B=" + strings.Repeat("x", 200_000)} // < takes six bytes
	for i := range 256 {
		id := fmt.Sprintf("%0126d", i)
		s.runs[id] = &run{request: request{ID: id, Label: strings.Repeat("l", maxLabel-2)}}
	}
	for i := range 4 * finishedAtOnce {
		id := fmt.Sprintf("f%0125d", i)
		s.finished[id] = finished{Op: "finished", ID: id, Label: strings.Repeat("l", maxLabel-2), Message: shorten(strings.Repeat("\x01", 5000))}
		s.order = append(s.order, id)
	}
	for i := range 2*ackedAtOnce + 1 {
		s.acked[fmt.Sprintf("a%0125d", i)] = time.Now()
	}
	p := serveHere(t, s)
	p.send(message{"op": "hello", "version": protocolVersion})
	hello := p.next("hello")
	expect(t, "running", len(hello["running"].([]any)), 256)
	expect(t, "environment that is told", len(hello["env"].([]any)), 1)
}
