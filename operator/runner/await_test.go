package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func (p *peer) put(id, name, content string, more message) message {
	p.t.Helper()
	m := message{"op": "put", "req": 1, "id": id, "path": name, "data": base64.StdEncoding.EncodeToString([]byte(content)),
		"last": true, "mode": 0o770}
	for key, value := range more {
		m[key] = value
	}
	p.send(m)
	for {
		told, err := p.read()
		if err != nil {
			p.t.Fatal(err)
		}
		if told["op"] == "done" || told["op"] == "error" {
			return told
		}
	}
}

// await has a run asked for that awaits files, and waits until it does.
func (p *peer) await(id, script string, more message) {
	p.t.Helper()
	m := message{"awaits": true}
	for key, value := range more {
		m[key] = value
	}
	p.run(id, script, m)
	expect(p.t, "pid", p.next("started")["pid"], 0.0)
}

func TestARunThatAwaitsFilesStartsWithThemWhenItIsTold(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	old := filepath.Join(f.root, "workitems/j/a/wd/old")
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	p.await("a", "cat in/deep/x.txt; cat y; ls -a | wc -l", message{"fresh": true})
	expect(t, "half", p.put("a", "in/deep/x.txt", "one ", message{"last": false})["op"], "done")
	expect(t, "whole", p.put("a", "y", "three\n", message{"mode": 0o640})["op"], "done")
	expect(t, "rest", p.put("a", "in/deep/x.txt", "two\n", message{"offset": 4, "mode": 0o501})["op"], "done")
	info, err := os.Stat(filepath.Join(f.root, "workitems/j/a/wd/in/deep/x.txt"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "mode", info.Mode().Perm(), os.FileMode(0o501))
	p.send(message{"op": "begin", "id": "a"})
	if told := p.next("started"); told["pid"] == 0.0 {
		t.Error("it has begun without a process")
	}
	expect(t, "exit code", p.next("finished")["exitCode"], 0.0)
	expect(t, "stdout", strings.Join(strings.Fields(f.file("workitems/j/a/stdout.txt")), " "), "one two three 4")
}

func TestAFileIsUnderItsNameOnlyWhenItIsWhole(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.await("a", "true", nil)
	p.put("a", "x", "whole", nil)
	p.put("a", "x", "ha", message{"last": false})
	expect(t, "content", f.file("workitems/j/a/wd/x"), "whole")
	expect(t, "gap", p.put("a", "x", "lf", message{"offset": 7})["code"], "ResourceFileWriteFailed")
	p.put("a", "x", "ha", message{"last": false})
	p.send(message{"op": "begin", "id": "a"})
	p.next("finished")
	entries, _ := os.ReadDir(filepath.Join(f.root, "workitems/j/a/wd"))
	expect(t, "files", len(entries), 1)
	expect(t, "content", f.file("workitems/j/a/wd/x"), "whole")
}

func TestAFailureOfWhatItAwaitedIsTheRuns(t *testing.T) {
	p, _ := begin(t).hello()
	p.await("a", "echo ran", nil)
	p.send(message{"op": "fail", "id": "a", "failure": "BlobNotFound", "text": "x is not there"})
	done := p.next("finished")
	expect(t, "cause", done["cause"], causeLaunchFailed)
	expect(t, "code", done["code"], "BlobNotFound")
	expect(t, "message", done["message"], "x is not there")
	expect(t, "exit code", done["exitCode"], nil)
}

func TestFilesLieInTheWorkingDirectoryWhateverIsPlantedThere(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	target := f.outside("out/x", "mine")
	p.finish("a", "ln -s "+filepath.Dir(target)+" dir; ln -s "+target+" x; mkfifo pipe; mkdir busy; ln -s ../../b/wd near", nil)
	p.finish("b", "true", nil)
	p.await("a2", "true", message{"dir": "workitems/j/a"})
	for _, name := range []string{"dir/x", "x", "pipe", "near/y"} {
		expect(t, name, p.put("a2", name, "brought", nil)["op"], "done")
		expect(t, name, f.file("workitems/j/a/wd", name), "brought")
		info, err := os.Lstat(filepath.Join(f.root, "workitems/j/a/wd", filepath.Dir(name)))
		if err != nil || !info.IsDir() {
			t.Error("a link was followed to ", name)
		}
	}
	expect(t, "busy", p.put("a2", "busy", "x", nil)["code"], "ResourceFileWriteFailed")
	for _, name := range []string{"../x", "/x", "a/../x", "", ".", "a//b"} {
		expect(t, name, p.put("a2", name, "x", nil)["code"], "ResourceFileCreateFailed")
	}
	content, _ := os.ReadFile(target)
	expect(t, "outside", string(content), "mine")
	if _, err := os.Stat(filepath.Join(f.root, "workitems/j/b/wd/y")); err == nil {
		t.Error("a link into another task's directory was followed")
	}
}

func TestARunThatAwaitsFilesEndsAsAnyOther(t *testing.T) {
	for cause, end := range map[string]func(f *fixture, p *peer){
		causeKilled:    func(f *fixture, p *peer) { p.send(message{"op": "kill", "id": "a", "grace": 5}) },
		causeExpired:   func(f *fixture, p *peer) { p.vouch(50 * time.Millisecond) },
		causeStopping:  func(f *fixture, p *peer) { f.terminate() },
		causeWallClock: func(f *fixture, p *peer) {},
	} {
		t.Run(cause, func(t *testing.T) {
			f := begin(t)
			p, _ := f.hello()
			limit := 0.0
			if cause == causeWallClock {
				limit = 0.3
			}
			p.await("a", "touch ran", message{"wallClock": limit})
			p.put("a", "x", "ha", message{"last": false})
			end(f, p)
			done := p.next("finished")
			expect(t, "cause", done["cause"], cause)
			expect(t, "exit code", done["exitCode"], nil)
			if done["startedAt"] == 0.0 {
				t.Error("bringing files is part of a run")
			}
			if cause == causeStopping {
				return
			}
			expect(t, "put", p.put("a", "x", "lf", message{"offset": 2})["code"], "NotAwaiting")
			p.send(message{"op": "begin", "id": "a"})
			p.settle()
			entries, _ := os.ReadDir(filepath.Join(f.root, "workitems/j/a/wd"))
			expect(t, "what is left", len(entries), 0)
		})
	}
}

func TestWithTheNextAgentWhatAwaitedFilesEndsAndTheRestGoesOn(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.await("a", "touch ran", nil)
	p.run("b", "sleep 60", nil)
	p.next("started")
	q, told := f.hello()
	expect(t, "running", len(told["running"].([]any)), 2)
	done := q.next("finished")
	expect(t, "id", done["id"], "a")
	expect(t, "cause", done["cause"], causeBootLost)
	q.send(message{"op": "begin", "id": "a"})
	q.settle()
	expect(t, "put", q.put("b", "x", "y", nil)["code"], "NotAwaiting")
	if _, err := os.Stat(filepath.Join(f.root, "workitems/j/a/wd/ran")); err == nil {
		t.Error("it ran")
	}
}

func TestWhatIsBroughtToARunIsItsUsers(t *testing.T) {
	const tasks = 23456
	f := beginWith(t, setting{asRoot: true}, "--task-user", "23456:23456:")
	p, _ := f.hello()
	for _, one := range []struct {
		id  string
		uid uint32
	}{{"a", tasks}, {"e", 0}} {
		p.await(one.id, "cat in/x", message{"elevated": one.uid == 0})
		p.put(one.id, "in/x", "brought", message{"mode": 0o600})
		for _, name := range []string{"in", "in/x"} {
			var told syscall.Stat_t
			if err := syscall.Stat(filepath.Join(f.root, "workitems/j", one.id, "wd", name), &told); err != nil {
				t.Fatal(err)
			}
			expect(t, name, told.Uid, one.uid)
			expect(t, name, told.Gid, uint32(tasks))
		}
		p.send(message{"op": "begin", "id": one.id})
		expect(t, "exit code", p.next("finished")["exitCode"], 0.0)
	}
}
