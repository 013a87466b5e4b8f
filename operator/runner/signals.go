package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// A task may run as the user that this process runs as, so it may send PID 1 any signal that has a handler, and Go has
// one for each. Those that would end us count only when the kernel made them (a fault) or when they came from outside of
// the PID namespace: si_code is SI_USER and si_pid is 0. si_pid alone can be forged with sigqueue(3); SI_USER cannot.
//
// Go's os/signal does not tell si_pid, and a signalfd needs the signal blocked, which every task would inherit. So the
// kernel is given a handler of ours (`filter`, a few lines of assembly) that drops the rest or jumps to Go's own.

var deadly = []syscall.Signal{
	syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT,
	syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSTKFLT, syscall.SIGSYS,
}

// original is the address of Go's signal handler, one for all signals; filter jumps to it.
var original uintptr

// filter is called by the kernel, never by Go.
func filter()

// filterAddress is the address of filter itself: Go's own reference to it would be to a wrapper.
func filterAddress() uintptr

// sigaction is the kernel's struct of that name, the same on amd64 and arm64.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// watchTermination returns where SIGTERM is told. As PID 1 it is told only when it comes from outside.
func watchTermination() (<-chan os.Signal, error) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a log that nobody reads any more must not end us
	if os.Getpid() != 1 {
		return told, nil
	}
	for _, number := range deadly {
		if err := ignoreFromInside(number); err != nil {
			return nil, fmt.Errorf("cannot guard against %s: %w", number, err)
		}
	}
	return told, nil
}

// ignoreFromInside puts filter before Go's handler of a signal.
func ignoreFromInside(number syscall.Signal) error {
	var action sigaction
	if err := setAction(number, nil, &action); err != nil {
		return err
	}
	if action.handler <= 1 { // default or ignored: the kernel protects PID 1 itself
		return nil
	}
	if original != 0 && original != action.handler {
		return fmt.Errorf("its handler is another one")
	}
	original = action.handler
	action.handler = filterAddress()
	return setAction(number, &action, nil)
}

func setAction(number syscall.Signal, next, former *sigaction) error {
	const maskBytes = 8
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number),
		uintptr(unsafe.Pointer(next)), uintptr(unsafe.Pointer(former)), maskBytes, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}
