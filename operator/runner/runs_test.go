package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestARunReportsItsExitCodeAndLeavesItsOutput(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	done := p.finish("a", "echo out; echo err >&2; pwd; exit 7", nil)
	expect(t, "cause", done["cause"], causeExit)
	expect(t, "exit code", done["exitCode"], 7.0)
	expect(t, "stdout", f.file("workitems/j/a/stdout.txt"), "out\n"+filepath.Join(f.root, "workitems/j/a/wd")+"\n")
	expect(t, "stderr", f.file("workitems/j/a/stderr.txt"), "err\n")
}

func TestARunSeesItsEnvironmentOverTheContainersAndNothingOfOurs(t *testing.T) {
	f := begin(t)
	p, hello := f.hello()
	for _, pair := range hello["env"].([]any) {
		if strings.HasPrefix(pair.(string), "BATCHPOOLS_") {
			t.Error("hello tells ", pair)
		}
	}
	p.finish("a", "echo $HOME $NEW $BATCHPOOLS_SECRET.", message{"env": []string{"HOME=/h", "NEW=n"}})
	expect(t, "stdout", f.file("workitems/j/a/stdout.txt"), "/h n .\n")
}

func TestADeathBySignalIsReportedAsTheShellDoes(t *testing.T) {
	p, _ := begin(t).hello()
	done := p.finish("a", "kill -9 $$", nil)
	expect(t, "exit code", done["exitCode"], 137.0)
	expect(t, "signal", done["signal"], 9.0)
}

func TestARetryKeepsTheWorkingDirectoryAndAFreshRunDoesNot(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	script := "echo x >> tries; wc -l < tries"
	for _, step := range []struct{ fresh, want string }{{"no", "1"}, {"no", "2"}, {"yes", "1"}} {
		p.finish("a", script, message{"fresh": step.fresh == "yes"})
		expect(t, "tries", strings.TrimSpace(f.file("workitems/j/a/stdout.txt")), step.want)
	}
}

func TestAMissingProgramAndADirectoryThatEscapesFailWithTheirCodes(t *testing.T) {
	p, _ := begin(t).hello()
	done := p.finish("a", "", message{"argv": []string{"no-such-program"}})
	expect(t, "code", done["code"], "CommandProgramNotFound")
	expect(t, "exit code", done["exitCode"], nil)
	done = p.finish("b", "", message{"argv": []string{"./x"}})
	expect(t, "code", done["code"], "CommandProgramNotFound")
	for _, dir := range []string{"../out", "/etc", "a/../../b", ""} {
		done = p.finish("c"+dir, "true", message{"dir": dir})
		expect(t, "code for "+dir, done["code"], "ResourceDirectoryCreateFailed")
	}
}

func TestAKillEndsTheGroupAlsoOfATaskThatIgnoresSigterm(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "trap '' TERM; echo $$; sleep 60 & wait; sleep 60", nil)
	started := p.next("started")
	waitFor(t, "output", func() bool { return f.file("workitems/j/a/stdout.txt") != "" })
	p.send(message{"op": "kill", "id": "a", "grace": 0.2})
	done := p.next("finished")
	expect(t, "cause", done["cause"], causeKilled)
	expect(t, "exit code", done["exitCode"], 137.0)
	if err := syscall.Kill(-int(started["pid"].(float64)), 0); err != syscall.ESRCH {
		t.Error("the group still lives: ", err)
	}
}

func TestAKillOfAnUnknownRunSaysSo(t *testing.T) {
	p, _ := begin(t).hello()
	p.send(message{"op": "kill", "id": "ghost", "grace": 1})
	expect(t, "id", p.next("unknown")["id"], "ghost")
}

func TestAWallClockLimitEndsARun(t *testing.T) {
	p, _ := begin(t).hello()
	done := p.finish("a", "sleep 60", message{"wallClock": 0.2})
	expect(t, "cause", done["cause"], causeWallClock)
}

func TestOrphansAndDaemonsEndWithTheirTask(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.finish("a", "sleep 61 & echo $!; setsid sleep 62 & echo $!; (setsid sh -c 'sleep 63 & echo $!; wait' &) ; sleep 0.3", nil)
	for _, text := range strings.Fields(f.file("workitems/j/a/stdout.txt")) {
		pid, _ := strconv.Atoi(text)
		waitFor(t, "the end of "+text, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
}

func TestAFloodOfOutputIsCutOff(t *testing.T) {
	p, _ := begin(t).hello()
	done := p.finish("a", "yes | head -c 5000000; sleep 60", message{"maxOutputBytes": 1000000})
	expect(t, "cause", done["cause"], causeOutputLimit)
	expect(t, "code", done["code"], "DiskFull")
}

func TestTheSameRunTwiceRunsOnce(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	script := fmt.Sprintf("echo x >> %s/shared/count; sleep 0.3", f.root)
	p.run("a", script, nil)
	first := p.next("started")
	p.run("a", script, nil)
	expect(t, "pid", p.next("started")["pid"], first["pid"])
	p.next("finished")
	p.run("a", script, nil)
	p.next("finished")
	expect(t, "count", f.file("shared/count"), "x\n")
}

func TestManyShortRunsLeaveNoDescriptorAndNoZombie(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	for n := range 300 {
		p.finish("r"+strconv.Itoa(n), "true", nil)
	}
	self := f.process.Process.Pid
	for _, one := range processes() {
		if one.parent == self {
			t.Errorf("child %d (%c) is left", one.pid, one.state)
		}
	}
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", self))
	if len(open) > 30 {
		t.Error("open descriptors: ", len(open))
	}
}

func waitFor(t *testing.T, what string, question func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !question() {
		if time.Now().After(deadline) {
			t.Fatal("waited too long for ", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func BenchmarkTrue(b *testing.B) {
	server, err := newServer(options{root: b.TempDir(), mode: modeServe, agentUID: -1, stopTimeout: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	for n := range b.N {
		server.execute(newRun(request{ID: strconv.Itoa(n), Dir: "workitems/j/t", Argv: []string{"/bin/true"}}))
	}
}
