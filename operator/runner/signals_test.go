package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// forgeSignals queues signals to PID 1 that pretend to come from outside: a task of the test runs it.
func forgeSignals() int {
	for _, number := range append(deadly, syscall.SIGPIPE) {
		const queued = -1
		info := struct {
			signo, errno, code, pad, pid, uid int32
			rest                              [104]byte
		}{signo: int32(number), code: queued}
		_, _, e := syscall.Syscall(syscall.SYS_RT_SIGQUEUEINFO, 1, uintptr(number), uintptr(unsafe.Pointer(&info)))
		if e != 0 {
			fmt.Println(number, e)
			return 1
		}
	}
	return 0
}

func TestNoSignalOfATaskReachesPID1AndThatOfTheKubeletDoes(t *testing.T) {
	f := beginWith(t, setting{asInit: true})
	p, first := f.hello()
	var script strings.Builder
	for _, number := range append(deadly, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTSTP) {
		fmt.Fprintf(&script, "kill -%d 1 || exit 1; ", number)
	}
	expect(t, "killing", p.finish("a", script.String(), nil)["exitCode"], 0.0)
	forge := message{"argv": []string{filepath.Join(filepath.Dir(f.root), "runner")}, "env": []string{"RUNNER_TEST_FORGE=1"}}
	done := p.finish("b", "", forge)
	expect(t, "forging: "+f.file("workitems/j/b/stdout.txt"), done["exitCode"], 0.0)
	p.finish("c", "sleep 0.3", nil) // whatever was sent has been delivered
	p, second := f.hello()
	expect(t, "boot id", second["bootId"], first["bootId"])
	p.run("d", "sleep 60", nil)
	p.next("started")
	f.terminate()
	p.next("stopping")
	expect(t, "cause", p.next("finished")["cause"], causeStopping)
	p.send(message{"op": "ack", "ids": []string{"d"}})
	expect(t, "exit code", f.left(), 0)
}

func TestPID1ReapsOrphansAndKeepsExitCodes(t *testing.T) {
	f := beginWith(t, setting{asInit: true})
	p, _ := f.hello()
	for n := range 50 {
		done := p.finish(fmt.Sprint("r", n), fmt.Sprintf("(setsid sh -c 'exit 9' &); (sh -c 'exit 8' &); exit %d", n), nil)
		expect(t, "exit code", done["exitCode"], float64(n))
	}
	waitFor(t, "no zombies", func() bool {
		return !strings.Contains(zombies(f.process.Process.Pid), "Z")
	})
}

func zombies(parent int) string {
	var states strings.Builder
	for _, pid := range processIDs() {
		if found, state := kinship(pid); found == parent {
			states.WriteByte(state)
		}
	}
	return states.String()
}

func TestTheFilterDropsWhatAProcessSentAndPassesFaults(t *testing.T) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	defer signal.Stop(told)
	for _, number := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGSEGV} {
		if err := ignoreFromInside(number); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), number); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a fault did not reach Go")
		}
		select {
		case <-told:
			t.Error("a signal of a process in this namespace was told")
		case <-time.After(50 * time.Millisecond):
		}
	}()
	var nothing *server
	nothing.bootID = "fault"
}

func TestATaskOfTheSameUserCannotLookIntoTheRunnerInAnyMode(t *testing.T) {
	for _, mode := range []string{modeServe, modeStartTask} {
		f := beginWith(t, setting{uid: otherUser()}, "--mode", mode)
		p, _ := f.hello()
		info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", f.process.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, mode+": owner of a process that cannot be dumped", info.Sys().(*syscall.Stat_t).Uid, uint32(0))
		for _, name := range []string{"environ", "mem", "fd/0", "maps"} {
			done := p.finish("a", "head -c 1 < /proc/$PPID/"+name, nil)
			if done["exitCode"] == 0.0 {
				t.Error(mode, ": a task reads ", name)
			}
		}
	}
}

func TestThereIsNoSocketBeforeTheProcessIsHardened(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if _, err := listen(hardened{}, socket); err == nil {
		t.Error("a process that is not hardened listens")
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("there is a socket")
	}
}

func TestTheDeathOfPID1TakesEveryTaskAlong(t *testing.T) {
	f := beginWith(t, setting{asInit: true})
	p, _ := f.hello()
	mark := "9" + strconv.Itoa(os.Getpid())
	p.run("a", "env -i setsid sleep "+mark+" & sleep "+mark, nil)
	p.next("started")
	alive := func() (count int) {
		for _, pid := range processIDs() {
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if string(command) == "sleep\x00"+mark+"\x00" && isThere(pid) {
				count++
			}
		}
		return count
	}
	waitFor(t, "the task", func() bool { return alive() == 2 })
	_ = f.process.Process.Kill()
	waitFor(t, "the end of all", func() bool { return alive() == 0 })
}

func TestNoDescriptorOfTheRunnerReachesATask(t *testing.T) {
	extra, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	f := beginWith(t, setting{files: []*os.File{extra, extra}})
	p, _ := f.hello()
	p.finish("a", "ls /proc/$$/fd", nil)
	expect(t, "descriptors", f.file("workitems/j/a/stdout.txt"), "0\n1\n2\n")
}
