package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Safety rule S8.4. A careless task's processes end with it; a hostile one's, which nothing tells of, when no run is live.

const (
	careless = "setsid sh -c 'echo $$; sleep 300 & echo $!; wait' & (setsid sleep 301 & echo $!); sleep 0.2; "
	hostile  = "env -i setsid sh -c 'echo $$; sleep 302 & echo $!; wait' & (env -i setsid sleep 303 & echo $!); sleep 0.2; "
)

func (f *fixture) pids(task string) []int {
	f.t.Helper()
	return pidsIn(f.t, f.file("workitems/j/"+task+"/stdout.txt"))
}

// pidsIn reads three process ids.
func pidsIn(t *testing.T, written string) []int {
	t.Helper()
	var found []int
	for _, text := range strings.Fields(written) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	expect(t, "processes", len(found), 3)
	return found
}

func killAll(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func isThere(pid int) bool {
	_, state := kinship(pid)
	return state != 0 && state != 'Z'
}

func TestNothingOfACarelessTaskLivesWhenItsEndIsTold(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.run("other", "sleep 60", nil)
	p.next("started")
	p.finish("a", careless, nil)
	for _, pid := range f.pids("a") {
		expect(t, "alive", isThere(pid), false)
	}
}

func TestNothingOfAHostileTaskLivesWhenTheLastEndIsTold(t *testing.T) {
	for _, mode := range []string{modeServe, modeStartTask} {
		f := begin(t, "--mode", mode)
		p, _ := f.hello()
		p.run("other", "sleep 60", nil)
		p.next("started")
		p.finish("a", hostile, nil)
		for _, pid := range f.pids("a") {
			expect(t, mode+": alive beside another run, as the rule says", isThere(pid), true)
		}
		p.send(message{"op": "kill", "id": "other", "grace": 5})
		p.next("finished")
		for _, pid := range f.pids("a") {
			expect(t, mode+": alive when no run is", isThere(pid), false)
		}
	}
}

func TestWithOneSlotNothingOfAHostileTaskMeetsTheNext(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	for range 5 {
		p.finish("a", hostile, nil)
		p.finish("b", "for pid in $(cat ../../a/stdout.txt); do test -d /proc/$pid && echo $pid; done", nil)
		expect(t, "met", f.file("workitems/j/b/stdout.txt"), "")
	}
}

func TestAProcessThatForksAndEndsAgainAndAgainIsCaught(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	script := filepath.Join(f.root, "shared/hop")
	if err := os.WriteFile(script, []byte("echo x >> $2; sh $1 $1 $2 &\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(f.root, "shared/trace")
	p.finish("a", fmt.Sprintf("env -i setsid sh %s %s %s & sleep 0.2", script, script, trace), nil)
	before := f.file("shared/trace")
	p.finish("b", "sleep 0.2", nil)
	expect(t, "hops after the end", len(f.file("shared/trace"))-len(before), 0)
}

func TestWhatIsNoDescendantOfATaskIsLeftAlone(t *testing.T) {
	f := beginWith(t, setting{asInit: true})
	p, _ := f.hello()
	shell := exec.Command("nsenter", "--target", strconv.Itoa(f.process.Process.Pid), "--pid", "sh", "-c", "(sleep 304 &); exec sleep 305")
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
	inside := "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
	waitFor(t, "the shell", func() bool {
		p.finish("look", inside, nil)
		return strings.Contains(f.file("workitems/j/look/stdout.txt"), "sleep 305")
	})
	p.finish("a", hostile, nil)
	p.finish("look", inside, nil)
	left := f.file("workitems/j/look/stdout.txt")
	if !strings.Contains(left, "sleep 305") || strings.Contains(left, "sleep 302") {
		t.Error(left)
	}
}

func TestALiveRunIsNoStray(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	for n := range 100 { // ends and begins cross
		id := strconv.Itoa(n)
		p.run("short"+id, "true", nil)
		p.run("long"+id, "sleep 0.01; (sleep 0.02); exit 7", nil)
		codes := map[any]any{}
		for range 2 {
			done := p.next("finished")
			codes[done["id"]] = done["exitCode"]
		}
		expect(t, "short", codes["short"+id], 0.0)
		expect(t, "long", codes["long"+id], 7.0)
	}
	if err := syscall.Kill(f.process.Process.Pid, 0); err != nil {
		t.Error(err)
	}
}

// kinship is a process's parent and state ('Z' for a zombie); zeros when it has ended.
func kinship(pid int) (parent int, state byte) {
	found := processOf(pid)
	return found.parent, found.state
}
