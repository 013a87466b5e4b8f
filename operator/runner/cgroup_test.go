package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// This machine may have either version of cgroups; both are played here from files as the kernel shows them.

// played writes files below a folder, and says where.
func played(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		found := filepath.Join(folder, name)
		_ = os.MkdirAll(filepath.Dir(found), 0o755)
		if err := os.WriteFile(found, []byte(strings.ReplaceAll(content, "ROOT", folder)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const version2 = "31 23 0:28 / ROOT/fs rw,relatime - cgroup2 cgroup rw,nsdelegate\n"

func TestTheOwnMemoryCgroupIsFoundInEitherVersion(t *testing.T) {
	const stat1 = "cache 900\ninactive_file 1\ntotal_inactive_file 300\ntotal_active_file 100\ntotal_inactive_anon 70\n"
	const stat2 = "anon 500\nfile 400\ninactive_file 300\nactive_file 60\nslab_reclaimable 40\nslab_unreclaimable 9\n"
	for name, one := range map[string]struct {
		files       map[string]string
		used, limit int64
	}{
		"version 2, a cgroup namespace of its own": {map[string]string{
			"proc/cgroup": "0::/\n", "proc/mountinfo": version2,
			"fs/memory.current": "1000\n", "fs/memory.max": "2000\n", "fs/memory.stat": stat2,
		}, 600, 2000},
		"version 2, the machine's namespace": {map[string]string{
			"proc/cgroup": "0::/kubepods/pod1/c1\n", "proc/mountinfo": version2,
			"fs/kubepods/pod1/c1/memory.current": "1000\n", "fs/kubepods/pod1/c1/memory.max": "max\n",
			"fs/kubepods/pod1/c1/memory.stat": stat2,
		}, 600, noLimit},
		"version 2, a mount of the container's own cgroup": {map[string]string{
			"proc/cgroup":       "0::/kubepods/pod1/c1\n",
			"proc/mountinfo":    "31 23 0:28 /kubepods/pod1/c1 ROOT/fs rw - cgroup2 cgroup rw\n",
			"fs/memory.current": "1000\n", "fs/memory.max": "2000\n", "fs/memory.stat": stat2,
		}, 600, 2000},
		"version 1": {map[string]string{
			"proc/cgroup":                      "5:cpu,cpuacct:/x\n4:memory:/kubepods/c1\n1:name=systemd:/y\n",
			"proc/mountinfo":                   "32 31 0:29 / ROOT/cpu rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 /kubepods/c1 ROOT/memory rw - cgroup cgroup rw,memory\n",
			"fs/unused":                        "",
			"memory/memory.usage_in_bytes":     "1000\n",
			"memory/memory.limit_in_bytes":     "2000\n",
			"memory/memory.stat":               stat1,
			"memory/memory.max_usage_in_bytes": "1500\n",
		}, 600, 2000},
		"both, memory in version 1": {map[string]string{
			"proc/cgroup":                    "4:memory:/p\n0::/q\n",
			"proc/mountinfo":                 "35 31 0:32 / ROOT/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / ROOT/unified rw - cgroup2 cgroup2 rw\n",
			"unified/q/cgroup.procs":         "",
			"memory/p/memory.usage_in_bytes": "1000\n",
			"memory/p/memory.limit_in_bytes": "9223372036854771712\n",
			"memory/p/memory.stat":           stat1,
		}, 600, noLimit},
	} {
		found := ownCgroup(played(t, one.files) + "/proc")
		if found == nil {
			t.Error(name, ": not found")
			continue
		}
		used, limit, ok := found.sample()
		expect(t, name+": readable", ok, true)
		expect(t, name+": used", used, one.used)
		expect(t, name+": limit", limit, one.limit)
	}
}

func TestACgroupThatCannotBeReadIsNoCgroup(t *testing.T) {
	if found := ownCgroup(played(t, map[string]string{"proc/cgroup": "0::/\n", "proc/mountinfo": version2}) + "/proc"); found != nil {
		t.Error("found ", found)
	}
	folder := played(t, map[string]string{"memory.current": "x\n", "memory.max": "2000\n", "memory.stat": ""})
	_, _, ok := (&cgroup{folder, "memory.current", "memory.max", nil}).sample()
	expect(t, "a number that is none", ok, false)
}

func TestThisProcessHasACgroup(t *testing.T) {
	found := ownCgroup("/proc/self")
	if found == nil {
		t.Skip("no memory cgroup is to be seen here")
	}
	used, _, ok := found.sample()
	if !ok || used <= 0 {
		t.Error(used, ok)
	}
}
