package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const ignoresSigterm = "trap '' TERM; echo ready; while :; do sleep 0.1; done"

// ready waits until the run's script has set its trap.
func (f *fixture) ready(id string) {
	f.t.Helper()
	waitFor(f.t, "output", func() bool {
		content, _ := os.ReadFile(filepath.Join(f.root, "workitems/j", id, "stdout.txt"))
		return len(content) > 0
	})
}

func TestAKillEndsTheGroupAlsoOfATaskThatIgnoresSigterm(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "trap '' TERM; echo $$; sleep 60 & wait; sleep 60", nil)
	started := p.next("started")
	f.ready("a")
	p.send(message{"op": "kill", "id": "a", "grace": 0.2})
	done := p.next("finished")
	expect(t, "cause", done["cause"], causeKilled)
	expect(t, "exit code", done["exitCode"], 137.0)
	group := int(started["pid"].(float64))
	waitFor(t, "the end of the group", func() bool { return syscall.Kill(-group, 0) == syscall.ESRCH })
}

func TestSigtermReachesTheWholeGroupBeforeSigkill(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	child := `sh -c 'trap "echo child; exit" TERM; echo ready; while :; do sleep 0.05; done' & `
	p.run("a", child+`trap "echo main; wait; exit 5" TERM; echo ready; wait; wait`, nil)
	p.next("started") // its files are there
	waitFor(t, "both", func() bool { return strings.Count(f.file("workitems/j/a/stdout.txt"), "ready") == 2 })
	p.send(message{"op": "kill", "id": "a", "grace": 10})
	done := p.next("finished")
	expect(t, "exit code", done["exitCode"], 5.0)
	for _, who := range []string{"main", "child"} {
		if output := f.file("workitems/j/a/stdout.txt"); !strings.Contains(output, who) {
			t.Errorf("SIGTERM did not reach %s: %s", who, output)
		}
	}
}

func TestAKillOfAnUnknownRunSaysSo(t *testing.T) {
	p, _ := begin(t).hello()
	p.send(message{"op": "kill", "id": "ghost", "grace": 1})
	expect(t, "id", p.next("unknown")["id"], "ghost")
}

func TestAWallClockLimitEndsARun(t *testing.T) {
	p, _ := begin(t).hello()
	done := p.finish("a", ignoresSigterm, message{"wallClock": 0.2})
	expect(t, "cause", done["cause"], causeWallClock)
	expect(t, "exit code", done["exitCode"], 137.0)
}

func TestASecondKillWithAShorterGraceHastensTheFirst(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", ignoresSigterm, nil)
	f.ready("a")
	p.send(message{"op": "kill", "id": "a", "grace": 3600})
	p.send(message{"op": "kill", "id": "a", "grace": 0.1})
	expect(t, "cause", p.next("finished")["cause"], causeKilled)
}

func TestARunThatWasEndedBeforeItBeganDoesNotBegin(t *testing.T) {
	s := newTestServer(t)
	r := newRun(request{ID: "a", Dir: "workitems/j/a", Argv: []string{"/bin/true"}})
	r.end(ending{cause: causeKilled})
	s.execute(r)
	done := s.finished["a"]
	expect(t, "cause", done.Cause, causeKilled)
	if done.ExitCode != nil {
		t.Error("it ran: ", *done.ExitCode)
	}
}

func TestAnEndAskedForWhileTheRunIsForkedReachesIt(t *testing.T) {
	sleeper := begun(t)
	r := newRun(request{})
	r.end(ending{cause: causeKilled, grace: 3600})
	r.begin(sleeper.Process.Pid, time.Now())
	if _, err := sleeper.Process.Wait(); err != nil {
		t.Error(err)
	}
}

func TestARunThatHasEndedKeepsItsCauseAndItsIdIsNotSignalled(t *testing.T) {
	stranger := begun(t) // has got the ids of a run that is over
	r := newRun(request{})
	r.begin(stranger.Process.Pid, time.Now())
	r.leave()
	r.end(ending{cause: causeWallClock})
	r.signal(syscall.SIGKILL)
	if r.reason() != nil {
		t.Error("the cause changed: ", r.reason())
	}
	if _, state := kinship(stranger.Process.Pid); state == 'Z' || state == 0 {
		t.Error("a stranger was killed")
	}
}

// begun starts a process in a group of its own.
func begun(t *testing.T) *exec.Cmd {
	t.Helper()
	sleeper := exec.Command("sleep", "60")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sleeper.Process.Kill()
		_, _ = sleeper.Process.Wait()
	})
	return sleeper
}

func TestAFloodOfOutputIsCutOffAlsoUnderAnotherName(t *testing.T) {
	p, _ := begin(t).hello()
	script := "mv ../stdout.txt ../x; yes | head -c 5000000; sleep 60"
	done := p.finish("a", script, message{"maxOutputBytes": 1000000})
	expect(t, "cause", done["cause"], causeOutputLimit)
	expect(t, "code", done["code"], "DiskFull")
	if text := done["message"].(string); !strings.Contains(text, "5000000") || !strings.Contains(text, "1000000") {
		t.Error("no numbers: ", text)
	}
}

func TestNoTimeIsTooLongForADuration(t *testing.T) {
	expect(t, "a second", duration(1), time.Second)
	expect(t, "below zero", duration(-1), time.Duration(0))
	if duration(1e300) < 100*365*24*time.Hour {
		t.Error("overflow: ", duration(1e300))
	}
}
