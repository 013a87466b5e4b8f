package main

import (
	"errors"
	"net"
	"os"
	"syscall"
)

const setDumpable, setChildSubreaper = 4, 36

// hardened is had from harden alone: without it there is no socket, so that no moment is left for a tracer.
type hardened struct{ done bool }

// harden keeps tasks of the same user from tracing this process, makes orphans ours to reap, and lets no task inherit a
// descriptor that this process was started with (safety rule S8.3).
func harden() (hardened, error) {
	if err := prctl(setDumpable, 0); err != nil {
		return hardened{}, err
	}
	if os.Getpid() != 1 {
		if err := prctl(setChildSubreaper, 1); err != nil {
			return hardened{}, err
		}
	}
	if err := closeOnExec(3); err != nil {
		return hardened{}, err
	}
	return hardened{true}, nil
}

// listen opens the socket of a hardened process.
func listen(safe hardened, socket string) (net.Listener, error) {
	if !safe.done {
		return nil, errors.New("this process is not hardened")
	}
	return net.Listen("unix", socket)
}

func prctl(option, value uintptr) error {
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, option, value, 0); e != 0 {
		return os.NewSyscallError("prctl", e)
	}
	return nil
}

// closeOnExec marks every open descriptor from first on. Go opens its own that way already.
func closeOnExec(first uintptr) error {
	const closeRange, markOnly, last = 436, 4, 1<<32 - 1
	_, _, e := syscall.RawSyscall(closeRange, first, last, markOnly)
	if e == 0 {
		return nil
	}
	if e != syscall.ENOSYS && e != syscall.EINVAL && e != syscall.EPERM { // Linux before 5.11, or an old seccomp profile
		return os.NewSyscallError("close_range", e)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return errors.Join(errors.New("cannot mark descriptors close-on-exec"), err)
	}
	for fd := first; fd < uintptr(min(limit.Cur, 4096)); fd++ {
		syscall.CloseOnExec(int(fd)) // a descriptor that is not open is no error
	}
	return nil
}
