package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// processIDs lists what /proc shows: in a container, this container's processes.
func processIDs() []int {
	here := listProcesses()
	found := make([]int, len(here))
	for i, one := range here {
		found[i] = one.pid
	}
	return found
}

// listed is a process as the listing of /proc shows it. The kernel makes an inode for each process and drops it with the
// process, or sooner when memory is scarce: the same id and inode are the same process, another inode may be one too.
type listed struct {
	pid   int
	inode uint64
}

func listProcesses() []listed {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	const inode, length, name = unsafe.Offsetof(syscall.Dirent{}.Ino), unsafe.Offsetof(syscall.Dirent{}.Reclen), unsafe.Offsetof(syscall.Dirent{}.Name)
	buffer, found := make([]byte, 32<<10), []listed{}
	for {
		size, err := syscall.ReadDirent(int(folder.Fd()), buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || size <= 0 {
			return found
		}
		for rest := buffer[:size]; len(rest) > 0; {
			record := rest[:binary.NativeEndian.Uint16(rest[length:])]
			rest = rest[len(record):]
			text, _, _ := bytes.Cut(record[name:], []byte{0})
			if pid, err := strconv.Atoi(string(text)); err == nil {
				found = append(found, listed{pid, binary.NativeEndian.Uint64(record[inode:])})
			}
		}
	}
}

// process is what /proc/PID/stat tells of one; all zero when it has ended.
type process struct {
	state   byte // 'Z' for a zombie
	parent  int
	group   int
	session int
	started uint64 // with its id, what no other process has
}

func processOf(pid int) process {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // a name may hold spaces and brackets
	if len(fields) < 20 {
		return process{}
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	group, _ := strconv.Atoi(string(fields[2]))
	session, _ := strconv.Atoi(string(fields[3]))
	started, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return process{fields[0][0], parent, group, session, started}
}

// memoryOf is how much memory a process has that the kernel cannot take back: its own, and what it shares in memory.
func memoryOf(pid int) int64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	var kibibytes int64
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) == "RssAnon" || string(name) == "RssShmem" {
			number, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
			size, _ := strconv.ParseInt(string(number), 10, 64)
			kibibytes += size
		}
	}
	return kibibytes << 10
}
