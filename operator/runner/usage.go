package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// What this container has used so far, for the agent to make samples of: from the files of its cgroups, of either version,
// and from /proc. What cannot be told is -1: a sample without it is better than none.

const unknown = -1

// clockTicks is how /proc counts CPU time: USER_HZ is 100 on every machine that Linux runs on.
const clockTicks = 100

// usage answers a request for it.
func (s *server) usage(message request) any {
	sample := s.fileSystem
	if s.diskLimit > 0 {
		sample = s.directory
	}
	disk, _, err := sample()
	if err != nil {
		disk = unknown
	}
	told := usageOf("/proc/self")
	told.Op, told.Req, told.Disk = "usage", message.Req, disk
	return told
}

// usageOf reads what a process's cgroups and network have counted, by its folder in /proc.
func usageOf(proc string) usage {
	folders := cgroupFolders(proc)
	told := usage{CPU: unknown, Cores: float64(runtime.NumCPU()), Memory: unknown}
	if seconds, ok := cpuOfCgroup(folders); ok {
		told.CPU = seconds
	} else if seconds, ok := cpuOfProcesses(filepath.Dir(proc)); ok {
		told.CPU = seconds
	}
	if cores, ok := coresOfCgroup(folders); ok {
		told.Cores = min(cores, told.Cores)
	}
	if own := ownCgroup(proc); own != nil {
		if used, _, ok := own.sample(); ok {
			told.Memory = used
		}
	}
	told.ReadBytes, told.WriteBytes, told.ReadOps, told.WriteOps = disksOfCgroup(folders)
	told.NetworkIn, told.NetworkOut = network(filepath.Join(proc, "net/dev"))
	return told
}

// cgroupFolders is where each controller of a process shows its files; "" is version 2.
func cgroupFolders(proc string) map[string]string {
	paths, folders := cgroupPaths(proc), map[string]string{}
	mounts, _ := os.ReadFile(filepath.Join(proc, "mountinfo"))
	for line := range strings.Lines(string(mounts)) {
		mounted, options, ok := strings.Cut(line, " - ")
		fields, after := strings.Fields(mounted), strings.Fields(options)
		if !ok || len(fields) < 5 || len(after) < 3 {
			continue
		}
		switch after[0] {
		case "cgroup2":
			folders[""] = within(fields[4], fields[3], paths[""])
		case "cgroup":
			for controller := range strings.SplitSeq(after[2], ",") {
				folders[controller] = within(fields[4], fields[3], paths[controller])
			}
		}
	}
	return folders
}

// cpuOfCgroup is CPU time in seconds.
func cpuOfCgroup(folders map[string]string) (float64, bool) {
	if folder, there := folders[""]; there {
		if micros, ok := keyed(filepath.Join(folder, "cpu.stat"), "usage_usec"); ok {
			return float64(micros) / 1e6, true
		}
	}
	if folder, there := folders["cpuacct"]; there {
		if nanos, ok := numbers(filepath.Join(folder, "cpuacct.usage")); ok {
			return float64(nanos[0]) / 1e9, true
		}
	}
	return 0, false
}

// cpuOfProcesses is the CPU time of all processes that can be seen, and of those that the first one has reaped.
func cpuOfProcesses(proc string) (float64, bool) {
	names, _ := os.ReadDir(proc)
	var ticks int64
	seen := false
	for _, one := range names {
		if _, err := strconv.Atoi(one.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(proc, one.Name(), "stat"))
		if err != nil {
			continue
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 15 {
			continue
		}
		last := 13 // utime, stime
		if one.Name() == "1" {
			last = 15 // and those of its children that have ended
		}
		for _, field := range fields[11:last] {
			count, _ := strconv.ParseInt(string(field), 10, 64)
			ticks += count
		}
		seen = true
	}
	return float64(ticks) / clockTicks, seen
}

// coresOfCgroup is how many cores the container may use; false when it has no limit of its own.
func coresOfCgroup(folders map[string]string) (float64, bool) {
	var quota, period int64
	if told, ok := numbers(filepath.Join(folders[""], "cpu.max")); ok && len(told) == 2 {
		quota, period = told[0], told[1]
	} else if told, ok := numbers(filepath.Join(folders["cpu"], "cpu.cfs_quota_us")); ok {
		quota = told[0]
		if told, ok = numbers(filepath.Join(folders["cpu"], "cpu.cfs_period_us")); ok {
			period = told[0]
		}
	}
	if quota <= 0 || period <= 0 {
		return 0, false
	}
	return float64(quota) / float64(period), true
}

// disksOfCgroup sums what was read and written on all devices.
func disksOfCgroup(folders map[string]string) (readBytes, writeBytes, readOps, writeOps int64) {
	if content, err := os.ReadFile(filepath.Join(folders[""], "io.stat")); err == nil && folders[""] != "" {
		for field := range bytes.FieldsSeq(content) {
			name, value, _ := bytes.Cut(field, []byte("="))
			count, _ := strconv.ParseInt(string(value), 10, 64)
			switch string(name) {
			case "rbytes":
				readBytes += count
			case "wbytes":
				writeBytes += count
			case "rios":
				readOps += count
			case "wios":
				writeOps += count
			}
		}
		return
	}
	folder, there := folders["blkio"]
	if !there {
		return unknown, unknown, unknown, unknown
	}
	readBytes, writeBytes = readsAndWrites(filepath.Join(folder, "blkio.throttle.io_service_bytes"))
	readOps, writeOps = readsAndWrites(filepath.Join(folder, "blkio.throttle.io_serviced"))
	return
}

// readsAndWrites sums the lines `8:0 Read 17` and `8:0 Write 4` of a file.
func readsAndWrites(name string) (reads, writes int64) {
	content, err := os.ReadFile(name)
	if err != nil {
		return unknown, unknown
	}
	for line := range bytes.Lines(content) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			continue
		}
		count, _ := strconv.ParseInt(string(fields[2]), 10, 64)
		switch string(fields[1]) {
		case "Read":
			reads += count
		case "Write":
			writes += count
		}
	}
	return
}

// network sums the bytes of all interfaces but the loopback.
func network(name string) (in, out int64) {
	content, err := os.ReadFile(name)
	if err != nil {
		return unknown, unknown
	}
	for line := range strings.Lines(string(content)) {
		device, counts, is := strings.Cut(line, ":")
		fields := strings.Fields(counts)
		if !is || strings.TrimSpace(device) == "lo" || len(fields) < 9 {
			continue
		}
		received, _ := strconv.ParseInt(fields[0], 10, 64)
		sent, _ := strconv.ParseInt(fields[8], 10, 64)
		in, out = in+received, out+sent
	}
	return
}

// keyed is the number behind a name in a file of such lines.
func keyed(name, key string) (int64, bool) {
	content, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(content))
	at := slices.Index(fields, key)
	if at < 0 || at+1 >= len(fields) {
		return 0, false
	}
	value, err := strconv.ParseInt(fields[at+1], 10, 64)
	return value, err == nil
}

// numbers are those of a file; a word such as "max" counts as 0.
func numbers(name string) ([]int64, bool) {
	content, err := os.ReadFile(name)
	fields := strings.Fields(string(content))
	if err != nil || len(fields) == 0 {
		return nil, false
	}
	found := make([]int64, len(fields))
	for at, field := range fields {
		found[at], _ = strconv.ParseInt(field, 10, 64)
	}
	return found, true
}
