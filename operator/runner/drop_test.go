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

// In a pool that allows elevated tasks the runner is a container's root, and everybody else is not.

const tasksUser, tasksGroup = 12345, 12346

func beginAsRoot(t *testing.T) (*fixture, *peer) {
	t.Helper()
	f := beginWith(t, setting{asRoot: true}, "--task-user", fmt.Sprintf("%d:%d:%d,12347", tasksUser, tasksGroup, tasksGroup))
	p, _ := f.hello()
	return f, p
}

func (f *fixture) owner(name string) (uid, gid int, mode os.FileMode) {
	f.t.Helper()
	info, err := os.Lstat(filepath.Join(f.root, name))
	if err != nil {
		f.t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	return int(owner.Uid), int(owner.Gid), info.Mode().Perm()
}

func TestARunHasTheTasksUserUnlessItIsElevated(t *testing.T) {
	f, p := beginAsRoot(t)
	script := "id -u; id -g; id -G; grep CapEff /proc/self/status | tr -d '\\t'; touch made; ls ../tmp"
	expect(t, "exit code", p.finish("plain", script, nil)["exitCode"], 0.0)
	expect(t, "stdout", f.file("workitems/j/plain/stdout.txt"), "12345\n12346\n12346 12347\nCapEff:0000000000000000\n")
	expect(t, "exit code", p.finish("high", "id -u; touch made", message{"elevated": true})["exitCode"], 0.0)
	expect(t, "stdout", f.file("workitems/j/high/stdout.txt"), "0\n")
	for name, uid := range map[string]int{
		"plain": tasksUser, "plain/wd": tasksUser, "plain/tmp": tasksUser, "plain/stdout.txt": tasksUser, "plain/wd/made": tasksUser,
		"high": 0, "high/wd": 0, "high/stderr.txt": 0, "high/wd/made": 0,
	} {
		told, gid, _ := f.owner("workitems/j/" + name)
		expect(t, "owner of "+name, told, uid)
		expect(t, "group of "+name, gid, tasksGroup)
	}
	_, _, mode := f.owner("workitems/j/high")
	expect(t, "mode of an elevated run's directory", mode, os.FileMode(0o700))
}

func TestARunIsDroppedAgainInADirectoryThatItLeftLocked(t *testing.T) {
	f, p := beginAsRoot(t)
	p.finish("a", "mkdir d; echo x > d/f; chmod 000 d ../tmp ../stdout.txt; chmod 500 .", nil)
	expect(t, "exit code of a retry", p.finish("a", "chmod 700 d; cat d/f", nil)["exitCode"], 0.0)
	expect(t, "stdout", f.file("workitems/j/a/stdout.txt"), "x\n")
	p.finish("a", "chmod 000 d; chmod 500 .", nil)
	expect(t, "exit code of a requeue", p.finish("a", "ls -A", message{"fresh": true})["exitCode"], 0.0)
	expect(t, "stdout", f.file("workitems/j/a/stdout.txt"), "")
	p.send(message{"op": "remove", "req": 1, "path": "workitems/j/a"})
	p.next("done")
}

func TestADroppedRunTouchesNothingOfAnElevatedOneNorWhatAllShare(t *testing.T) {
	f, p := beginAsRoot(t)
	p.finish("high", "echo secret > s; echo mine > $SHARED/mine", message{"elevated": true, "env": []string{"SHARED=" + f.root + "/shared"}})
	p.send(message{"op": "run", "id": "x:-:1:7", "dir": "workitems/j/stays", "argv": []string{"sleep", "60"}, "elevated": true})
	pid := int(p.next("started")["pid"].(float64))
	job := filepath.Join(f.root, "workitems/j")
	for _, script := range []string{
		"cat " + job + "/high/wd/s", "ls " + job + "/high", "cat " + job + "/high/stdout.txt", "echo x > " + job + "/high/wd/s",
		"mv " + job + "/high " + job + "/gone", "rm -rf " + job + "/high", "mkdir " + job + "/next", "ln -s /tmp " + job + "/next",
		"mv " + job + " " + f.root + "/workitems/other", "mv " + f.root + "/workitems " + f.root + "/x", "mkdir " + f.root + "/x",
		"rm -f " + f.root + "/shared/mine", "mv " + f.root + "/shared/mine " + f.root + "/shared/other", "ls " + f.root + "/volatile",
		fmt.Sprintf("kill -9 %d", pid), fmt.Sprintf("kill -STOP %d", f.process.Process.Pid),
		fmt.Sprintf("cat /proc/%d/environ", pid), fmt.Sprintf("cat /proc/%d/environ", f.process.Process.Pid),
		"chown 0 .", "chmod g+w " + job,
	} {
		if code := p.finish("low", script, nil)["exitCode"]; code == 0.0 {
			t.Errorf("a dropped run could: %s", script)
		}
	}
	expect(t, "the elevated run's file", f.file("workitems/j/high/wd/s"), "secret\n")
	expect(t, "exit code in shared", p.finish("low", "echo x > "+f.root+"/shared/own; cat "+f.root+"/shared/mine", nil)["exitCode"], 0.0)
	p.send(message{"op": "kill", "id": "x:-:1:7", "grace": 0})
	expect(t, "cause", p.next("finished")["cause"], "killed")
}

func TestWhatADroppedRunHidesEndsWithItAlthoughNoTracerSeesIt(t *testing.T) {
	for _, elevated := range []bool{false, true} {
		f, p := beginAsRoot(t)
		p.send(message{"op": "run", "id": "y:-:1:1", "dir": "workitems/j/neighbour", "argv": []string{"sleep", "60"}})
		p.next("started") // while it lives no stray is killed: only the cookie tells
		script := "setsid sleep 61 & setsid sh -c 'sleep 62 & echo $! > deep; wait' & sleep 0.3; echo $! > pid"
		expect(t, "exit code", p.finish("a", script, message{"elevated": elevated})["exitCode"], 0.0)
		for _, name := range []string{"deep", "pid"} {
			pid, err := strconv.Atoi(strings.TrimSpace(f.file("workitems/j/a/wd/" + name)))
			if err != nil {
				t.Fatal(err)
			}
			if _, state := kinship(pid); state != 0 && state != 'Z' {
				t.Errorf("%s of a run (elevated: %v) is still there", name, elevated)
			}
		}
	}
}

func TestDroppedAndElevatedRunsAreKilled(t *testing.T) {
	_, p := beginAsRoot(t)
	for _, elevated := range []bool{false, true} {
		id := fmt.Sprintf("z%v:-:1:1", elevated)
		p.send(message{"op": "run", "id": id, "dir": "workitems/j/z", "argv": []string{"sh", "-c", "trap '' TERM; sleep 60"}, "elevated": elevated})
		p.next("started")
		began := time.Now()
		p.send(message{"op": "kill", "id": id, "grace": 0.3})
		expect(t, "cause", p.next("finished")["cause"], "killed")
		if time.Since(began) > 10*time.Second {
			t.Error("it took long")
		}
	}
}

func TestARunnerThatIsNotRootElevatesNobody(t *testing.T) {
	p, _ := begin(t).hello()
	done := p.finish("a", "id", message{"elevated": true})
	expect(t, "cause", done["cause"], "launchFailed")
	expect(t, "message", done["message"], errNotElevated.Error())
}

func TestTheTasksUserIsSaidInFullAndIsNotRoot(t *testing.T) {
	for _, text := range []string{"1000", "1000:1000", "0:0:", "x:1:", "1:y:", "1:1:z", "-1:1:", "1:1:1:1"} {
		if _, err := parseTaskUser(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	user, err := parseTaskUser("7:8:9,10")
	if err != nil || user.uid != 7 || user.gid != 8 || fmt.Sprint(user.groups) != "[9 10]" {
		t.Error(user, err)
	}
}
