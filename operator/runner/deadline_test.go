package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Safety rule S3.1: the dead-man timer sits in the runner.

func TestNothingStartsWhileNobodyHasVouched(t *testing.T) {
	f := begin(t)
	p, told := f.strangeHello()
	expect(t, "deadline", told["deadline"], 0.0)
	expect(t, "without a deadline", p.finish("a", "touch /proc/self/cwd/started", nil)["cause"], causeExpired)
	p.vouch(-time.Second)
	expect(t, "with a passed one", p.finish("b", "true", nil)["cause"], causeExpired)
	p.vouch(time.Hour)
	expect(t, "with a standing one", p.finish("c", "true", nil)["cause"], causeExit)
	if _, err := os.Stat(f.root + "/workitems/j/a"); !os.IsNotExist(err) {
		t.Error("a run that was not vouched for has a directory")
	}
}

func TestAStartTaskNeedsNobodyToVouch(t *testing.T) {
	p, _ := begin(t, "--mode", modeStartTask).strangeHello()
	expect(t, "cause", p.finish("s", "true", message{"dir": "startup"})["cause"], causeExit)
}

func TestWhenTheDeadlinePassesEverythingIsKilledAndTold(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", ignoresSigterm, message{"killGrace": 60})
	f.ready("a")
	p.run("b", "setsid sleep 65 & echo $!; trap '' TERM; echo ready; wait; sleep 66", message{"killGrace": 60})
	f.ready("b")
	p.vouch(300 * time.Millisecond)
	causes := map[any]any{}
	for range 2 {
		done := p.next("finished")
		causes[done["id"]] = done["cause"]
	}
	expect(t, "a", causes["a"], causeExpired)
	expect(t, "b", causes["b"], causeExpired)
	stray, _ := strconv.Atoi(strings.Fields(f.file("workitems", "j", "b", "stdout.txt"))[0])
	waitFor(t, "the end of the stray", func() bool { return syscall.Kill(stray, 0) == syscall.ESRCH })
	expect(t, "a later run", p.finish("c", "true", nil)["cause"], causeExpired)
	p.vouch(time.Hour)
	expect(t, "a run once vouched for again", p.finish("d", "true", nil)["cause"], causeExit)
}

func TestTheTimerRunsWithoutAnAgentAndIsToldToTheNext(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "sleep 67", nil)
	p.next("started")
	p.vouch(time.Second)
	p.settle()
	other, told := f.strangeHello()
	if told["deadline"].(float64) <= bootSeconds() {
		t.Error("the deadline is not told to the next agent")
	}
	other.conn.Close()
	time.Sleep(1500 * time.Millisecond) // nobody is connected when the time is over
	_, told = f.strangeHello()
	done := told["finished"].([]any)[0].(map[string]any)
	expect(t, "cause", done["cause"], causeExpired)
	expect(t, "deadline", told["deadline"], 0.0)
}

func TestARunnerThatWasStoppedExpiresWhenItWakes(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "sleep 68", nil)
	p.next("started")
	p.vouch(500 * time.Millisecond)
	p.settle()
	_ = f.process.Process.Signal(syscall.SIGSTOP)
	time.Sleep(time.Second)
	_ = f.process.Process.Signal(syscall.SIGCONT)
	expect(t, "cause", p.next("finished")["cause"], causeExpired)
}

func TestTimeThatTheMachineSleptCounts(t *testing.T) {
	const slept = 100_000
	f := beginWith(t, setting{asleep: slept})
	p, _ := f.strangeHello()
	p.vouch(slept*time.Second + time.Hour)
	p.run("a", "sleep 70", nil)
	p.next("started")
	p.vouch(slept*time.Second + 300*time.Millisecond) // by CLOCK_MONOTONIC more than a day
	expect(t, "cause", p.next("finished")["cause"], causeExpired)
}

func TestAnEarlierDeadlineReplacesALaterOne(t *testing.T) {
	p, _ := begin(t).hello()
	p.run("a", "sleep 69", nil)
	p.next("started")
	p.vouch(200 * time.Millisecond)
	expect(t, "cause", p.next("finished")["cause"], causeExpired)
}

func TestAnAgentThatWasReplacedVouchesForNobody(t *testing.T) {
	s := newTestServer(t)
	older, newer := &connection{}, &connection{}
	s.agent = newer
	s.setDeadline(older, request{At: bootSeconds() + 60})
	expect(t, "deadline", s.deadline, 0.0)
	s.setDeadline(newer, request{At: bootSeconds() + 60})
	expect(t, "vouched for", s.isVouchedFor(), true)
}
