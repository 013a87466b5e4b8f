package main

import (
	"os/exec"
	"slices"
	"testing"
)

func TestOnlyProcessesThatCameSinceALookAreFound(t *testing.T) {
	var seen sightings
	early := sleeper(t)
	if !slices.Contains(seen.since(seen.now()), early) {
		t.Fatal("a process that no look has seen is not found")
	}
	before := seen.now()
	late := sleeper(t)
	for range 2 { // seeing them does not make them known to those that began before
		found := seen.since(before)
		if slices.Contains(found, early) || !slices.Contains(found, late) {
			t.Fatalf("since the look there came %d, and not %d: %v", late, early, found)
		}
	}
	if found := seen.since(seen.now()); slices.Contains(found, late) {
		t.Fatalf("%d has come before this look", late)
	}
}

func TestAnotherProcessUnderAKnownIDIsANewcomer(t *testing.T) {
	var seen sightings
	pid := sleeper(t)
	seen.since(0)
	before := seen.now()
	for one, look := range seen.first { // as if that id had been another process's
		if one.pid == pid {
			delete(seen.first, one)
			seen.first[listed{pid, one.inode + 1}] = look
		}
	}
	if !slices.Contains(seen.since(before), pid) {
		t.Fatal("it was taken for the one that had its id before")
	}
}

func TestAProcessIsListedAsTheSameEachTime(t *testing.T) {
	pid, inodes := sleeper(t), map[uint64]int{}
	for range 3 {
		for _, one := range listProcesses() {
			if one.pid == pid {
				inodes[one.inode]++
			}
		}
	}
	if len(inodes) != 1 {
		t.Skipf("this kernel's /proc gives a process a new entry each time (%v): all processes are looked at each time", inodes)
	}
}

func sleeper(t *testing.T) int {
	t.Helper()
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command.Process.Pid
}
