package main

import (
	"testing"
	"time"
)

// A start task inside the task container: before anybody vouches, and what it leaves running is there for the tasks.

// left behind by a start task: as it is, with a session of its own, and one that hides its environment there.
const daemonsOfAStartTask = "sleep 310 & echo $!; setsid sleep 311 & echo $!; env -i setsid sleep 312 & echo $!; sleep 0.3"

func (p *peer) startTask(id, script string) message {
	p.t.Helper()
	p.run(id, script, message{"dir": "startup", "startTask": true})
	return p.next("finished")
}

func (f *fixture) daemons() []int {
	f.t.Helper()
	found := pidsIn(f.t, f.file("startup/stdout.txt"))
	f.t.Cleanup(func() { killAll(found) })
	return found
}

func TestAStartTaskNeedsNobodysWordAndOutlivesTheDeadline(t *testing.T) {
	f := begin(t)
	p, _ := f.strangeHello()
	p.run("start-task:0", "sleep 1", message{"dir": "startup", "startTask": true})
	p.next("started")
	p.vouch(50 * time.Millisecond)
	p.run("a", "sleep 60", nil)
	expect(t, "the task's end", p.next("finished")["cause"], causeExpired)
	done := p.next("finished")
	expect(t, "the start task's end", done["id"], "start-task:0")
	expect(t, "its cause", done["cause"], causeExit)
}

func TestWhatAStartTaskLeftRunningOutlivesTasks(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	expect(t, "start task", p.startTask("start-task:0", daemonsOfAStartTask)["exitCode"], 0.0)
	p.finish("b", hostile, nil)
	p.finish("c", "true", nil)
	for _, pid := range f.daemons() {
		expect(t, "daemon alive", isThere(pid), true)
	}
	for _, pid := range f.pids("b") {
		expect(t, "a task's left-over alive", isThere(pid), false)
	}
}

func TestWhatAFailedStartTaskLeftRunningEndsWithIt(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	expect(t, "start task", p.startTask("start-task:0", daemonsOfAStartTask+"; exit 3")["exitCode"], 3.0)
	for _, pid := range f.daemons() {
		expect(t, "alive", isThere(pid), false)
	}
}

func TestATaskThatPlaysADaemonAfterwardsDoesNotStay(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.finish("first", "true", nil)
	p.run("beside", "sleep 60", nil)
	p.finish("b", hostile, nil) // it lives beside another run, as the rule says
	expect(t, "start task", p.startTask("start-task:0", "true")["exitCode"], 0.0)
	p.send(message{"op": "kill", "id": "beside", "grace": 0})
	p.next("finished")
	for _, pid := range f.pids("b") {
		expect(t, "alive", isThere(pid), false)
	}
}
