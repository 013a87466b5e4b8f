package main

import "testing"

func TestAStartTasksRunnerLeavesWhenToldAndOthersDoNot(t *testing.T) {
	f := begin(t, "--mode", modeStartTask)
	p, _ := f.hello()
	p.run("s", "sleep 60", message{"dir": "startup"})
	p.next("started")
	p.send(message{"op": "exit", "code": 3})
	expect(t, "code while it runs", p.next("error")["code"], "Refused")
	p.send(message{"op": "kill", "id": "s", "grace": 1})
	p.next("finished")
	p.send(message{"op": "exit", "code": 3})
	p.next("bye")
	expect(t, "exit code", f.left(), 3)

	other, _ := begin(t).hello()
	other.send(message{"op": "exit", "code": 0})
	expect(t, "code", other.next("error")["code"], "Refused")
}

func TestSigtermEndsRunsTellsAndLeavesOnceAcknowledged(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", ignoresSigterm, nil)
	f.ready("a")
	f.terminate()
	p.next("stopping")
	expect(t, "cause", p.next("finished")["cause"], causeStopping)
	p.run("b", "true", nil)
	expect(t, "late run", p.next("finished")["cause"], causeStopping)
	p.send(message{"op": "ack", "ids": []string{"a"}})
	expect(t, "exit code", f.left(), 0)
}

func TestSigtermWhenIdleLeavesAtOnce(t *testing.T) {
	f := begin(t, "--stop-timeout", "1h")
	f.hello()
	f.terminate()
	expect(t, "exit code", f.left(), 0)
}

func TestSigtermWithoutAnAgentLeavesInTime(t *testing.T) {
	f := begin(t, "--stop-timeout", "1s")
	p, _ := f.hello()
	p.run("a", "sleep 60", nil)
	p.next("started")
	p.conn.Close()
	f.terminate()
	expect(t, "exit code", f.left(), 0)
}

func TestAnAgentThatComesAfterSigtermIsToldAndCanAcknowledge(t *testing.T) {
	f := begin(t, "--stop-timeout", "1h")
	p, _ := f.hello()
	p.run("a", "sleep 60", nil)
	p.next("started")
	p.conn.Close()
	f.terminate()
	waitFor(t, "the result", func() bool {
		var hello message
		p, hello = f.hello()
		return len(hello["finished"].([]any)) == 1
	})
	p.next("stopping")
	p.send(message{"op": "ack", "ids": []string{"a"}})
	expect(t, "exit code", f.left(), 0)
}

func TestSigtermDoesNotWaitForALongGrace(t *testing.T) {
	f := begin(t, "--stop-timeout", "2s")
	p, _ := f.hello()
	for _, id := range []string{"a", "b"} {
		p.run(id, ignoresSigterm, message{"killGrace": 3600})
		f.ready(id)
	}
	p.send(message{"op": "kill", "id": "b", "grace": 3600})
	p.send(message{"op": "list", "req": 1, "path": "shared"}) // answered after the kill was read
	p.next("entries")
	f.terminate()
	causes := map[any]any{}
	for range 2 {
		done := p.next("finished")
		causes[done["id"]] = done["cause"]
	}
	expect(t, "cause of a", causes["a"], causeStopping)
	expect(t, "cause of b", causes["b"], causeKilled)
	p.send(message{"op": "ack", "ids": []string{"a", "b"}})
	expect(t, "exit code", f.left(), 0)
}

func TestARestartEndsAnEmptyRunnerWithTheReservedCode(t *testing.T) {
	f := begin(t)
	p, told := f.hello()
	p.startTask("start-task:0", "exit 7") // its result is kept, and holds nothing up
	p.run("start-task:1", "sleep 60", message{"dir": "startup", "startTask": true})
	p.next("started")
	p.send(message{"op": "restart", "boot": told["bootId"]})
	p.next("bye")
	expect(t, "exit code", f.left(), restartExitCode)
}

func TestARestartIsRefusedUnlessNothingRunsAndEverythingIsTold(t *testing.T) {
	f := begin(t)
	p, told := f.hello()
	ask := func(boot any) message {
		p.send(message{"op": "restart", "boot": boot})
		return p.next("error")
	}
	expect(t, "another boot", ask("former")["code"], "Refused")
	p.run("a", "sleep 60", nil)
	p.next("started")
	expect(t, "while a task runs", ask(told["bootId"])["code"], "Refused")
	p.send(message{"op": "kill", "id": "a", "grace": 0})
	p.next("finished")
	expect(t, "before its result is acknowledged", ask(told["bootId"])["code"], "Refused")
	p.send(message{"op": "ack", "ids": []string{"a"}})
	p.send(message{"op": "restart", "boot": told["bootId"]})
	expect(t, "exit code", f.left(), restartExitCode)
}

func TestAStartTasksRunnerDoesNotRestart(t *testing.T) {
	f := begin(t, "--mode", modeStartTask)
	p, told := f.hello()
	p.send(message{"op": "restart", "boot": told["bootId"]})
	expect(t, "answer", p.next("error")["code"], "Refused")
}

func TestNoCommandOfATaskMakesTheRunnerLeaveWithTheReservedCode(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	expect(t, "the task's code", p.finish("a", "exit 77", nil)["exitCode"], float64(restartExitCode))
	f.terminate()
	expect(t, "exit code", f.left(), 0)
}
