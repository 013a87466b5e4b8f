package main

import (
	"bytes"
	"os"
	"strconv"
)

// processIDs lists what /proc shows: in a container, this container's processes.
func processIDs() []int {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	found := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			found = append(found, pid)
		}
	}
	return found
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

// kinship is a process's parent and state ('Z' for a zombie); zeros when it has ended.
func kinship(pid int) (parent int, state byte) {
	found := processOf(pid)
	return found.parent, found.state
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
