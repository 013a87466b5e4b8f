package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
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
	stranger := begin(t, "--agent-uid", "12345").dial()
	hello := `{"op": "hello", "version": ` + strconv.Itoa(protocolVersion) + `}`
	_, _ = stranger.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(hello))), hello...)) // may be too late
	if told, err := stranger.read(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Error("a stranger was served: ", told, err)
	}
	p, _ := begin(t, "--agent-uid", strconv.Itoa(os.Getuid())).hello()
	expect(t, "exit code", p.finish("a", "true", nil)["exitCode"], 0.0)
}

func TestANewerAgentTakesTheOldersPlaceAtOnce(t *testing.T) {
	f := begin(t)
	older, _ := f.hello() // does not read
	newer, _ := f.hello()
	newer.run("a", "exit 5", nil)
	expect(t, "exit code", newer.next("finished")["exitCode"], 5.0)
	if !older.closed() {
		t.Error("two agents")
	}
}

func TestAnAbstractSocketIsServed(t *testing.T) {
	name := "@runner-test-" + randomHex()
	f := begin(t, "--socket", name)
	f.socket = name
	p, hello := f.hello()
	expect(t, "mode", hello["mode"], modeServe)
	expect(t, "exit code", p.finish("a", "true", nil)["exitCode"], 0.0)
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
	for _, bytes := range [][]byte{binary.BigEndian.AppendUint32(nil, maxFrame+1), {0, 0, 0, 2, '{', 'x'}, {0, 0, 0, 2, '[', ']'}, {0, 0, 0, 0}} {
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

func TestInstallCopiesTheProgramWhole(t *testing.T) {
	folder := t.TempDir()
	if err := install(folder); err != nil {
		t.Fatal(err)
	}
	found := filepath.Join(folder, "runner")
	info, err := os.Stat(found)
	if err != nil || info.Mode().Perm() != 0o555 {
		t.Error(info, err)
	}
	running, err := os.Open(found) // as somebody who runs it has
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	if err := install(folder); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(found); err != nil || os.SameFile(info, again) {
		t.Error("it was written over: ", err)
	}
	left, _ := os.ReadDir(folder)
	expect(t, "files", len(left), 1)
}

func TestWhatNoIdCanBeIsRefused(t *testing.T) {
	p, _ := begin(t).hello()
	for _, id := range []string{"", strings.Repeat("x", maxID)} {
		p.run(id, "true", nil)
		expect(t, "code", p.next("error")["code"], "BadRequest")
	}
	p.send(message{"op": "dance"})
	expect(t, "code", p.next("error")["code"], "Unknown")
}

func TestALargeEnvironmentReachesTasksAndItsRestTheAgent(t *testing.T) {
	var large []string
	for n := range 4 {
		large = append(large, "LARGE"+strconv.Itoa(n)+"="+strings.Repeat("x", 100_000))
	}
	f := beginWith(t, setting{env: large})
	p, hello := f.hello()
	if told := len(hello["env"].([]any)); told == 0 || told > len(os.Environ())+len(large) {
		t.Error("told: ", told)
	}
	p.finish("a", "echo ${#LARGE0} ${#LARGE3}", nil)
	expect(t, "stdout", f.file("workitems/j/a/stdout.txt"), "100000 100000\n")
}
