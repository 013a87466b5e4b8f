package main

import (
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAResultIsToldAgainAfterAReconnectUntilItIsAcknowledged(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "exit 3", nil)
	p.next("finished")
	p, hello := f.hello()
	told := hello["finished"].([]any)
	expect(t, "results", len(told), 1)
	p.send(message{"op": "ack", "ids": []string{"a"}})
	p.send(message{"op": "list", "req": 1, "path": "shared"}) // answered after the acknowledgement was read
	p.next("entries")
	_, hello = f.hello()
	expect(t, "results after ack", len(hello["finished"].([]any)), 0)
}

func TestARunGoesOnWithoutAnAgentAndIsTold(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "while ! test -e ../../../../shared/go; do sleep 0.05; done; exit 4", nil)
	p.next("started")
	p.conn.Close()
	p, hello := f.hello()
	expect(t, "running", len(hello["running"].([]any)), 1)
	if err := os.WriteFile(filepath.Join(f.root, "shared/go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, "exit code", p.next("finished")["exitCode"], 4.0)
}

func TestOnlyTheAgentsUserIsServed(t *testing.T) {
	p := begin(t, "--agent-uid", "12345").dial()
	if !p.closed() {
		t.Error("a stranger was served")
	}
}

func TestAnotherProtocolIsRefusedWithASentence(t *testing.T) {
	p := begin(t).dial()
	p.send(message{"op": "hello", "version": 99})
	text := p.next("refused")["message"].(string)
	if !strings.Contains(text, "99") || !p.closed() {
		t.Error("refusal: ", text)
	}
}

func TestABadFrameHurtsOnlyItsConnection(t *testing.T) {
	f := begin(t)
	for _, bytes := range [][]byte{binary.BigEndian.AppendUint32(nil, maxFrame+1), {0, 0, 0, 2, '{', 'x'}, {0, 0, 0, 0}} {
		p := f.dial()
		_, _ = p.conn.Write(bytes)
		if !p.closed() {
			t.Error("went on after ", bytes)
		}
	}
	p, _ := f.hello()
	expect(t, "exit code", p.finish("a", "true", nil)["exitCode"], 0.0)
}

func TestFilesAreReadInPieces(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.finish("a", "printf 0123456789", nil)
	name := "workitems/j/a/stdout.txt"
	for _, step := range []struct {
		offset, limit int
		want          string
	}{{0, 4, "0123"}, {8, 100, "89"}, {-3, 100, "789"}, {50, 10, ""}} {
		p.send(message{"op": "read", "req": 1, "path": name, "offset": step.offset, "limit": step.limit})
		answer := p.next("data")
		piece, _ := base64.StdEncoding.DecodeString(answer["data"].(string))
		expect(t, "piece", string(piece), step.want)
		expect(t, "size", answer["size"], 10.0)
	}
	p.send(message{"op": "list", "req": 2, "path": "workitems/j/a"})
	expect(t, "entries", len(p.next("entries")["entries"].([]any)), 4)
	p.send(message{"op": "remove", "req": 3, "path": "workitems/j/a"})
	p.next("done")
	p.send(message{"op": "read", "req": 4, "path": name, "limit": 10})
	expect(t, "code", p.next("error")["code"], "NotFound")
}

func TestNoLinkOfATaskLeadsOutOfTheRoot(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	secret := filepath.Join(filepath.Dir(f.root), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.finish("a", "rm ../stdout.txt; ln -s "+secret+" ../stdout.txt; cd ..; rmdir wd; ln -s /tmp wd; ln -s / up; mkfifo pipe", nil)
	for _, name := range []string{"stdout.txt", "wd/x", "up/etc/passwd", "../secret", "pipe"} {
		p.send(message{"op": "read", "req": 1, "path": "workitems/j/a/" + name, "limit": 100})
		p.next("error")
	}
	p.send(message{"op": "remove", "req": 2, "path": "workitems/j/a/up/tmp"})
	p.next("error")
	p.send(message{"op": "remove", "req": 2, "path": "shared"})
	p.next("error")
	p.finish("a", "echo again", nil)
	expect(t, "output", f.file("workitems/j/a/stdout.txt"), "again\n")
	content, _ := os.ReadFile(secret)
	expect(t, "secret", string(content), "secret")
}

func TestAStartTasksRunnerLeavesWhenToldAndOthersDoNot(t *testing.T) {
	f := begin(t, "--mode", "start-task")
	p, _ := f.hello()
	p.finish("s", "true", message{"dir": "startup"})
	p.send(message{"op": "exit", "code": 0})
	p.next("bye")
	if state, err := f.process.Process.Wait(); err != nil || state.ExitCode() != 0 {
		t.Error("exit: ", state, err)
	}
	other, _ := begin(t).hello()
	other.send(message{"op": "exit", "code": 0})
	other.next("error")
}

func TestSigtermEndsRunsTellsAndLeavesOnceAcknowledged(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "trap '' TERM; while :; do sleep 1; done", nil)
	p.next("started")
	_ = f.process.Process.Signal(syscall.SIGTERM)
	p.next("stopping")
	done := p.next("finished")
	expect(t, "cause", done["cause"], causeStopping)
	p.run("b", "true", nil)
	expect(t, "late run", p.next("finished")["cause"], causeStopping)
	p.send(message{"op": "ack", "ids": []string{"a"}})
	if state, _ := f.process.Process.Wait(); state.ExitCode() != 0 {
		t.Error("exit: ", state)
	}
}

func TestSigtermWithoutAnAgentLeavesInTime(t *testing.T) {
	f := begin(t, "--stop-timeout", "1s")
	p, _ := f.hello()
	p.run("a", "sleep 60", nil)
	p.next("started")
	p.conn.Close()
	_ = f.process.Process.Signal(syscall.SIGTERM)
	if state, _ := f.process.Process.Wait(); state.ExitCode() != 0 {
		t.Error("exit: ", state)
	}
}

func TestInstallCopiesTheProgramWhole(t *testing.T) {
	folder := t.TempDir()
	if err := install(folder); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, "runner"))
	if err != nil || info.Mode().Perm() != 0o555 {
		t.Error(info, err)
	}
}
