package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Safety rule S8.5. What the kernel does on version 2 is not run here, only what the watch reads and does before.

const mebi = 1 << 20

// grow takes memory in steps of 10 MiB in 100 ms, says that it has it, and waits: a run of the test does it.
func grow(steps string) {
	count, _ := strconv.Atoi(steps)
	var kept [][]byte
	for range count {
		step := make([]byte, 10*mebi)
		for at := 0; at < len(step); at += 4096 {
			step[at] = 1
		}
		kept = append(kept, step)
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Println("full")
	time.Sleep(time.Hour)
	runtime.KeepAlive(kept)
}

// growing is a run that grows, in a child of its main process.
func growing(t *testing.T, steps int) message {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return message{"argv": []string{"sh", "-c", program + " & wait"}, "env": []string{"RUNNER_TEST_GROW=" + strconv.Itoa(steps)}}
}

// inCgroup starts a runner in a memory cgroup of its own with a limit; the test is skipped where that is not ours to do.
func inCgroup(t *testing.T, limit int64) *fixture {
	t.Helper()
	own := ownCgroup("/proc/self")
	if own == nil {
		t.Skip("no memory cgroup is to be seen here")
	}
	folder := filepath.Join(own.folder, "runner-test-"+randomHex())
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Skip("no right to make a cgroup here: ", err)
	}
	t.Cleanup(func() {
		waitFor(t, "an empty cgroup", func() bool {
			left, _ := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
			for _, text := range strings.Fields(string(left)) { // what a runner that is not PID 1 leaves
				pid, _ := strconv.Atoi(text)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			return os.Remove(folder) == nil
		})
	})
	if err := os.WriteFile(filepath.Join(folder, own.limit), []byte(strconv.FormatInt(limit, 10)), 0o644); err != nil {
		t.Skip("the cgroup takes no limit: ", err)
	}
	return beginWith(t, setting{prelude: "echo $$ > " + folder + "/cgroup.procs"})
}

func TestSlowGrowthEndsTheCulpritAlone(t *testing.T) {
	const limit = 200 * mebi
	f := inCgroup(t, limit)
	p, _ := f.hello()
	p.run("neighbour", "", growing(t, 5))
	f.ready("neighbour")
	told, done := f.culprit(p)
	if told["limit"] != float64(limit) || told["used"].(float64) < limit/2 || told["bytes"].(float64) < 10*mebi {
		t.Error("told: ", told)
	}
	expect(t, "cause", done["cause"], causeOutOfMemory)
	expect(t, "code", done["code"], "OutOfMemory")
	expect(t, "exit code", done["exitCode"], 137.0)
	if text := done["message"].(string); !strings.Contains(text, "of its 200.0 MiB of memory, and this task the most of it: 1") {
		t.Error("message: ", text)
	}
	_, hello := f.hello()
	running := hello["running"].([]any)
	expect(t, "runs that go on", len(running), 1)
}

// culprit grows until it is ended: what was told of it last, and its end, when there is enough memory again.
//
// On a busy machine the runner may get no turn for longer than the growth takes, and the kernel is faster: then once more.
func (f *fixture) culprit(p *peer) (told, done message) {
	f.t.Helper()
	for n := range 10 {
		id := "culprit" + strconv.Itoa(n)
		p.run(id, "", growing(f.t, 1000))
		told, done = nil, nil
		for enough := false; done == nil || (told != nil && !enough); { // either may come first
			m, err := p.read()
			if err != nil {
				f.t.Fatal(err)
			}
			switch m["op"] {
			case "finished":
				done = m
				expect(f.t, "id", m["id"], id)
			case "memory":
				enough = m["id"] == ""
				if m["id"] == id {
					told = m
				}
			}
		}
		if done["cause"] != causeExit {
			return told, done
		}
		f.t.Log("the kernel was faster")
	}
	return told, done
}

// scarce is a watch over a played cgroup of version 2 with a server whose runs are real.
type scarce struct {
	*memoryWatch
	folder string
	agent  *peer
}

func makeScarce(t *testing.T) *scarce {
	folder := played(t, map[string]string{"memory.max": "1000", "memory.stat": ""})
	s := newTestServer(t)
	p := serveHere(t, s)
	p.send(message{"op": "hello", "version": protocolVersion})
	p.next("hello")
	p.vouch(time.Hour)
	t.Cleanup(func() {
		for _, r := range s.allLive() {
			r.end(ending{causeKilled, "", "", 0})
		}
		waitFor(t, "the end of all runs", func() bool { return len(s.allLive()) == 0 })
	})
	w := &memoryWatch{server: s, cgroup: &cgroup{folder, "memory.current", "memory.max", nil}}
	return &scarce{w, folder, p}
}

func (s *scarce) use(bytes int, at time.Time) time.Duration {
	_ = os.WriteFile(filepath.Join(s.folder, "memory.current"), []byte(strconv.Itoa(bytes)), 0o644)
	return s.look(at)
}

func TestTheLargestRunIsNamedWhileMemoryIsScarceAndKilledWhenItIsNearlyOver(t *testing.T) {
	w := makeScarce(t)
	now := time.Now()
	w.agent.run("small", "sleep 60", nil)
	w.agent.next("started")
	w.agent.run("large", "", growing(t, 2))
	w.agent.next("started")
	waitFor(t, "growth", func() bool {
		w.use(500, now)
		return w.told == "large"
	})
	expect(t, "pause with enough", w.use(499, now), memoryLook)
	expect(t, "pause with half", w.use(500, now), memoryLook)
	expect(t, "pause with little", w.use(900, now), memoryCheck)
	expect(t, "killed below the limit", w.dying == nil, true)
	w.use(950, now)
	done := w.agent.next("finished")
	expect(t, "id", done["id"], "large")
	expect(t, "cause", done["cause"], causeOutOfMemory)
	w.agent.send(message{"op": "kill", "id": "small", "grace": 0})
	expect(t, "the other's cause", w.agent.next("finished")["cause"], causeKilled)
}

func TestTheAgentIsToldOnceASecondAndOnceThatThereIsEnoughAgain(t *testing.T) {
	w := makeScarce(t)
	w.agent.run("a", "sleep 60", nil)
	w.agent.next("started")
	now := time.Now()
	for _, after := range []int{0, 100, 999, 1000, 1500} {
		w.use(600+after/100, now.Add(time.Duration(after)*time.Millisecond))
	}
	w.use(499, now)
	w.use(400, now)
	w.use(700, now)
	var used []any
	for range 4 {
		used = append(used, w.agent.next("memory")["used"])
	}
	expect(t, "told", fmt.Sprint(used), "[600 610 0 700]")
	w.agent.send(message{"op": "kill", "id": "a", "grace": 0})
	w.agent.next("finished")
}

func TestOneRunIsKilledAtATime(t *testing.T) {
	w := makeScarce(t)
	for _, id := range []string{"a", "b"} {
		w.agent.run(id, "sleep 60", nil)
		w.agent.next("started")
	}
	dying := &run{request: request{ID: "c"}} // does not die
	w.server.mu.Lock()
	w.server.runs["c"] = dying
	w.server.mu.Unlock()
	w.dying = dying
	w.use(1000, time.Now())
	expect(t, "the only one to be killed", w.dying, dying)
	w.server.mu.Lock()
	delete(w.server.runs, "c")
	w.server.mu.Unlock()
	w.use(1000, time.Now())
	w.agent.next("finished")
	expect(t, "runs", len(w.server.allLive()), 1)
	w.use(1000, time.Now())
	w.agent.next("finished")
}

func TestWhatARunHadThatHasJustEndedIsNotPutDownToAnother(t *testing.T) {
	w := makeScarce(t)
	w.agent.run("a", "sleep 60", nil)
	w.agent.next("started")
	ended := &run{request: request{ID: "c"}, pid: 1 << 30} // the kernel has killed it: it is not told yet
	w.server.mu.Lock()
	w.server.runs["c"] = ended
	w.server.mu.Unlock()
	w.use(1000, time.Now())
	expect(t, "killed", w.dying == nil, true)
	w.server.mu.Lock()
	delete(w.server.runs, "c")
	w.server.mu.Unlock()
	w.use(1000, time.Now())
	expect(t, "cause", w.agent.next("finished")["cause"], causeOutOfMemory)
}

func TestNothingIsKilledWithoutALimit(t *testing.T) {
	w := makeScarce(t)
	w.agent.run("a", "sleep 60", nil)
	w.agent.next("started")
	_ = os.WriteFile(filepath.Join(w.folder, "memory.max"), []byte("max\n"), 0o644)
	w.use(1<<40, time.Now())
	expect(t, "told", w.spoke, false)
	w.agent.send(message{"op": "kill", "id": "a", "grace": 0})
	expect(t, "cause", w.agent.next("finished")["cause"], causeKilled)
}

func TestEachProcessHasItsOwner(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("a", "echo $$; sleep 60 & echo $!; setsid sleep 61 & echo $!; env -i setsid sleep 62 & echo $!; sleep 0.3; echo .; wait", nil)
	a := p.next("started")
	p.run("b", "exec sleep 63", nil)
	b := p.next("started")
	waitFor(t, "output", func() bool { return strings.HasSuffix(f.file("workitems/j/a/stdout.txt"), ".\n") })
	first := &run{request: request{ID: "a"}, cookie: cookieOf(int(a["pid"].(float64))), pid: int(a["pid"].(float64))}
	second := &run{request: request{ID: "b"}, cookie: cookieOf(int(b["pid"].(float64))), pid: int(b["pid"].(float64))}
	var o ownership
	here := o.look([]*run{first, second})
	for _, text := range strings.Fields(f.file("workitems/j/a/stdout.txt")) {
		if pid, err := strconv.Atoi(text); err == nil {
			expect(t, "owner of "+text, here[pid].owner, "a")
		}
	}
	expect(t, "owner of b", here[second.pid].owner, "b")
	expect(t, "owner of an orphan, or of what we have not forked", here[f.process.Process.Pid].owner, "")
	expect(t, "owner of PID 1", here[1].owner, stranger)
	if own := memoryOf(os.Getpid()); own < mebi {
		t.Error("memory of this process: ", own)
	}
}
