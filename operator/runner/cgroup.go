package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cgroup is this container's memory cgroup: what it uses and how much it may. Only the container's own limit is seen,
// not that of its pod or of the machine.
type cgroup struct {
	folder       string
	usage, limit string   // names of files
	reclaimable  []string // in memory.stat: what the kernel takes back before it kills
}

const noLimit = int64(math.MaxInt64)

// ownCgroup finds the memory cgroup of a process by its folder in /proc; nil when none can be seen.
func ownCgroup(proc string) *cgroup {
	paths := cgroupPaths(proc)
	mounts, _ := os.ReadFile(filepath.Join(proc, "mountinfo"))
	var found *cgroup
	for line := range strings.Lines(string(mounts)) {
		mounted, options, ok := strings.Cut(line, " - ")
		fields, after := strings.Fields(mounted), strings.Fields(options)
		if !ok || len(fields) < 5 || len(after) < 3 {
			continue
		}
		root, point := fields[3], fields[4]
		switch {
		case after[0] == "cgroup2":
			folder := within(point, root, paths[""])
			if _, err := os.Stat(filepath.Join(folder, "memory.current")); err == nil { // a hybrid machine has none
				return &cgroup{folder, "memory.current", "memory.max", []string{"active_file", "inactive_file", "slab_reclaimable"}}
			}
		case after[0] == "cgroup" && slices.Contains(strings.Split(after[2], ","), "memory"):
			folder := within(point, root, paths["memory"])
			if _, err := os.Stat(filepath.Join(folder, "memory.usage_in_bytes")); err == nil {
				names := []string{"total_active_file", "total_inactive_file"}
				found = &cgroup{folder, "memory.usage_in_bytes", "memory.limit_in_bytes", names}
			}
		}
	}
	return found
}

// cgroupPaths is where a process is in each hierarchy, by controller; "" is the one of version 2.
func cgroupPaths(proc string) map[string]string {
	paths := map[string]string{}
	content, _ := os.ReadFile(filepath.Join(proc, "cgroup"))
	for line := range strings.Lines(string(content)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 {
			for controller := range strings.SplitSeq(parts[1], ",") {
				paths[controller] = parts[2]
			}
		}
	}
	return paths
}

// within is where a mount shows a path of its hierarchy. A container sees its own cgroup as the mount's root, whether the
// path is told from there (its own cgroup namespace) or from the machine's root.
func within(point, root, path string) string {
	if below, is := strings.CutPrefix(path, root); is && (root == "/" || below == "" || below[0] == '/') {
		return filepath.Join(point, below)
	}
	return point
}

// sample tells what is used and cannot be taken back, and the limit, in bytes; false when it cannot be told.
func (c *cgroup) sample() (used, limit int64, ok bool) {
	used, usageKnown := c.number(c.usage)
	limit, limitKnown := c.number(c.limit)
	if !usageKnown || !limitKnown {
		return 0, 0, false
	}
	stat, err := os.ReadFile(filepath.Join(c.folder, "memory.stat"))
	if err != nil {
		return 0, 0, false
	}
	for line := range bytes.Lines(stat) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if slices.Contains(c.reclaimable, string(name)) {
			size, _ := strconv.ParseInt(string(value), 10, 64)
			used -= size
		}
	}
	return max(used, 0), limit, true
}

// number reads a file of one number; "max", and what version 1 says instead, is no limit.
func (c *cgroup) number(name string) (int64, bool) {
	content, err := os.ReadFile(filepath.Join(c.folder, name))
	if err != nil {
		return 0, false
	}
	text := string(bytes.TrimSpace(content))
	if text == "max" {
		return noLimit, true
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if value >= noLimit>>1 {
		value = noLimit
	}
	return value, err == nil
}
