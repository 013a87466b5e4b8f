package main

import (
	"os"
	"runtime"
	"testing"
	"time"
)

const netDev = "Inter-|   Receive | Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes\n" +
	"    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n  eth0: 100 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n  eth1:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n"

func TestWhatTheFilesOfEitherVersionSay(t *testing.T) {
	cores := float64(runtime.NumCPU())
	for name, one := range map[string]struct {
		files map[string]string
		want  usage
	}{
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": version2, "proc/self/net/dev": netDev,
			"fs/cpu.stat": "usage_usec 2500000\nuser_usec 1\n", "fs/cpu.max": "50000 100000\n",
			"fs/memory.current": "1000\n", "fs/memory.max": "2000\n", "fs/memory.stat": "inactive_file 300\n",
			"fs/io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=3 wios=4\n",
		}, usage{CPU: 2.5, Cores: 0.5, Memory: 700, ReadBytes: 11, WriteBytes: 22, ReadOps: 4, WriteOps: 6, NetworkIn: 105, NetworkOut: 46}},
		"version 2 without limits, without io": {map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": version2,
			"fs/cpu.stat": "usage_usec 1000000\n", "fs/cpu.max": "max 100000\n",
			"fs/memory.current": "1000\n", "fs/memory.max": "max\n", "fs/memory.stat": "\n",
		}, usage{CPU: 1, Cores: cores, Memory: 1000, ReadBytes: -1, WriteBytes: -1, ReadOps: -1, WriteOps: -1, NetworkIn: -1, NetworkOut: -1}},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/\n3:blkio:/\n", "proc/self/net/dev": netDev,
			"proc/self/mountinfo": "32 31 0:29 / ROOT/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"35 31 0:32 / ROOT/memory rw - cgroup cgroup rw,memory\n36 31 0:33 / ROOT/blkio rw - cgroup cgroup rw,blkio\n",
			"cpu/x/cpuacct.usage": "3000000000\n", "cpu/x/cpu.cfs_quota_us": "25000\n", "cpu/x/cpu.cfs_period_us": "100000\n",
			"memory/memory.usage_in_bytes": "1000\n", "memory/memory.limit_in_bytes": "2000\n", "memory/memory.stat": "total_inactive_file 100\n",
			"blkio/blkio.throttle.io_service_bytes": "8:0 Read 7\n8:0 Write 8\n8:0 Sync 15\n8:16 Read 1\nTotal 16\n",
			"blkio/blkio.throttle.io_serviced":      "8:0 Read 2\n8:0 Write 3\nTotal 5\n",
		}, usage{CPU: 3, Cores: 0.25, Memory: 900, ReadBytes: 8, WriteBytes: 8, ReadOps: 2, WriteOps: 3, NetworkIn: 105, NetworkOut: 46}},
		"no cgroups: the processes, and those that the first one has reaped": {map[string]string{
			"proc/self/cgroup": "", "proc/self/mountinfo": "",
			"proc/1/stat":  "1 (a ) b) S 0 1 1 0 -1 0 0 0 0 0 100 50 200 25 20 0 1 0 1\n",
			"proc/17/stat": "17 (sh) S 1 1 1 0 -1 0 0 0 0 0 10 15 999 999 20 0 1 0 1\n",
			"proc/18/stat": "18 (sh\n", "proc/uptime": "1 1\n",
		}, usage{CPU: 4, Cores: cores, Memory: -1, ReadBytes: -1, WriteBytes: -1, ReadOps: -1, WriteOps: -1, NetworkIn: -1, NetworkOut: -1}},
	} {
		if found := usageOf(played(t, one.files) + "/proc/self"); found != one.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, found, one.want)
		}
	}
}

func TestThisMachineTellsWhatAProcessUses(t *testing.T) {
	before := usageOf("/proc/self")
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		_ = os.Getpid()
	}
	after := usageOf("/proc/self")
	if after.CPU-before.CPU < 0.05 || after.Cores <= 0 {
		t.Errorf("CPU %v, then %v, of %v cores", before.CPU, after.CPU, after.Cores)
	}
	if after.Memory < 1<<20 && after.Memory != unknown {
		t.Errorf("memory: %v", after.Memory)
	}
	if after.NetworkIn < before.NetworkIn {
		t.Errorf("network: %v, then %v", before.NetworkIn, after.NetworkIn)
	}
}

func TestTheAgentIsToldWhatWasUsed(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.send(message{"op": "usage", "req": 7})
	told := p.next("usage")
	expect(t, "request", told["req"], 7.0)
	if told["cores"].(float64) <= 0 || told["disk"].(float64) <= 0 {
		t.Errorf("%v", told)
	}
}
