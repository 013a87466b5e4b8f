package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"
	"syscall"
	"time"
)

// Each execution has a random cookie in its environment, which its descendants inherit.
const cookieName = "BATCHPOOLS_COOKIE="

// killMarked kills every process whose initial environment carries the cookie, until none is left: what called setsid
// or forked twice. `come` lists those that can: what has come since the run began. It does not give up: a run is not over
// while something of it lives. A process that cleaned its environment is not found here (see strays.go).
func killMarked(cookie string, come func() []int) {
	mark := []byte(cookieName + cookie)
	pause, began, told := 5*time.Millisecond, time.Now(), false
	for {
		found := false
		for _, pid := range come() {
			if marked(pid, mark) {
				found = true
				killIfMarked(pid, mark)
			}
		}
		if !found {
			return
		}
		if !told && time.Since(began) > 5*time.Second {
			told = true
			log("processes of a run do not die")
		}
		time.Sleep(pause)
		pause = min(2*pause, 250*time.Millisecond)
	}
}

// killIfMarked takes hold of the process before it looks again, so that a reused process id is never hit.
func killIfMarked(pid int, mark []byte) {
	held, err := os.FindProcess(pid) // a pidfd
	if err != nil {
		return
	}
	defer func() { _ = held.Release() }()
	if marked(pid, mark) {
		_ = held.Signal(syscall.SIGKILL)
	}
}

func marked(pid int, mark []byte) bool {
	environment, err := environmentOf(pid)
	return err == nil && bytes.Contains(environment, mark)
}

func randomHex() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:]) // never fails
	return hex.EncodeToString(bytes[:])
}
