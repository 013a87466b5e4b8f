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

func TestOrphansAndDaemonsEndWithTheirTask(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.finish("a", "sleep 61 & echo $!; setsid sleep 62 & echo $!; (setsid sh -c 'sleep 63 & echo $!; wait' &) ; sleep 0.3", nil)
	for _, text := range strings.Fields(f.file("workitems/j/a/stdout.txt")) {
		pid, _ := strconv.Atoi(text)
		waitFor(t, "the end of "+text, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
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
	p.send(message{"op": "ack", "ids": []string{"a"}})
	p.run("a", script, nil)
	expect(t, "an acknowledged id", p.next("unknown")["id"], "a")
	expect(t, "count", f.file("shared/count"), "x\n")
}

func TestManyShortRunsLeaveNoDescriptorAndNoZombie(t *testing.T) {
	const all, atOnce = 500, 10
	f := begin(t)
	p, _ := f.hello()
	self := f.process.Process.Pid
	descriptors := func() int {
		open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", self))
		return len(open)
	}
	p.finish("first", "true", nil)
	before := descriptors()
	for n := range all + atOnce {
		if n < all {
			p.run("r"+strconv.Itoa(n), "(true &) ; true", nil)
		}
		if n >= atOnce {
			p.send(message{"op": "ack", "ids": []any{p.next("finished")["id"]}})
		}
	}
	waitFor(t, "the end of all children", func() bool {
		for _, pid := range processIDs() {
			if parent, _ := kinship(pid); parent == self {
				return false
			}
		}
		return true
	})
	waitFor(t, "descriptors to be closed", func() bool { return descriptors() <= before+2 })
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

// What a run costs, alone and beside neighbours that live on.
func BenchmarkTrue(b *testing.B) {
	for _, neighbours := range []int{0, 250} {
		b.Run(fmt.Sprintf("beside%d", neighbours), func(b *testing.B) {
			server := newTestServer(b)
			for n := range neighbours {
				neighbour := newRun(request{ID: fmt.Sprintf("n%d", n), Dir: fmt.Sprintf("workitems/j/n%d", n), Argv: []string{"/bin/sleep", "600"}})
				server.runs[neighbour.request.ID] = neighbour
				files, _, err := server.launch(neighbour)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() {
					neighbour.signal(syscall.SIGKILL)
					server.wait(neighbour)
					files.close()
				})
			}
			b.ResetTimer()
			for n := range b.N {
				server.execute(newRun(request{ID: strconv.Itoa(n), Dir: "workitems/j/t", Argv: []string{"/bin/true"}}))
			}
		})
	}
}
