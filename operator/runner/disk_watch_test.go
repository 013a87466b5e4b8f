package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Safety rule S8.5, of the disk.

func TestTheRunWithTheLargestDirectoryIsKilledBeforeTheLimitIsReached(t *testing.T) {
	f := begin(t, "--disk-limit", "20000000")
	p, _ := f.hello()
	p.run("neighbour", "head -c 5000000 /dev/zero > x; echo ready; sleep 60", nil)
	f.ready("neighbour")
	p.run("culprit", "while :; do head -c 1000000 /dev/zero >> x; sleep 0.05; done", nil)
	done := p.next("finished")
	expect(t, "id", done["id"], "culprit")
	expect(t, "cause", done["cause"], causeDiskFull)
	expect(t, "code", done["code"], "DiskFull")
	if text := done["message"].(string); !strings.Contains(text, "of 19.1 MiB, and this task's directory the most of it: ") {
		t.Error("message: ", text)
	}
	// What it wrote is there, the disk is as full, and the neighbour goes on: four more looks.
	p.finish("b", "sleep 4.5", nil)
	_, hello := f.hello()
	expect(t, "runs that go on", len(hello["running"].([]any)), 1)
}

// full is a disk watch over a played disk, and a server with two runs that write.
func full(t *testing.T, script string) (w *diskWatch, p *peer, used *int64) {
	scene := makeScarce(t)
	for _, id := range []string{"a", "b"} {
		scene.agent.run(id, strings.ReplaceAll(script, "ID", id)+"; echo ready; sleep 60", nil)
		scene.agent.next("started")
		output := filepath.Join(scene.server.rootPath, "workitems/j", id, "stdout.txt")
		waitFor(t, "output", func() bool {
			content, _ := os.ReadFile(output)
			return len(content) > 0
		})
	}
	used = new(int64)
	w = &diskWatch{server: scene.server, sample: func() (int64, int64, error) { return *used, 10_000_000, nil }}
	return w, scene.agent, used
}

func TestAnotherRunIsKilledOnlyWhenTheDiskHasFilledFurther(t *testing.T) {
	w, p, used := full(t, "test ID = b && head -c 1000000 /dev/zero > x || head -c 500000 /dev/zero > x")
	*used = 9_499_999
	w.look()
	expect(t, "killed below the limit", w.dying == nil, true)
	*used = 9_500_000
	w.look()
	expect(t, "first", p.next("finished")["id"], "b")
	*used = 9_599_999
	w.look()
	expect(t, "killed when it has not filled further", w.dying.request.ID, "b")
	*used = 9_600_000
	w.look()
	expect(t, "second", p.next("finished")["id"], "a")
}

func TestARunThatHoldsNextToNothingIsNotKilled(t *testing.T) {
	w, p, used := full(t, "true")
	*used = 10_000_000
	w.look()
	w.look()
	p.settle()
	expect(t, "runs", len(w.server.allLive()), 2)
}

func TestADiskThatCannotBeReadKillsNobody(t *testing.T) {
	w, p, _ := full(t, "head -c 1000000 /dev/zero > x")
	w.sample = func() (int64, int64, error) { return 10, 10, errors.New("no") }
	w.look()
	p.settle()
	expect(t, "runs", len(w.server.allLive()), 2)
}

func TestAFileSystemIsCountedAsDfDoesAndATreeWithoutLinks(t *testing.T) {
	s := newTestServer(t)
	used, limit, err := s.fileSystem()
	if err != nil || used <= 0 || used > limit {
		t.Error(used, limit, err)
	}
	folder := filepath.Join(s.rootPath, "shared")
	outside := t.TempDir()
	_ = os.WriteFile(filepath.Join(outside, "x"), make([]byte, 1<<20), 0o644)
	_ = os.WriteFile(filepath.Join(folder, "x"), make([]byte, 100_000), 0o644)
	if err := os.Symlink(outside, filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	if size := treeSize(s.root, "shared"); size < 100_000 || size > 200_000 {
		t.Error("tree of ", size)
	}
	expect(t, "a tree that is not there", treeSize(s.root, "nothing"), int64(0))
}

func TestWhatIsMountedIntoTheNodesDirectoryIsNotOnItsDisk(t *testing.T) {
	scene := makeScarce(t)
	before := treeSize(scene.server.root, ".")
	for _, folder := range []string{mounts + "/data", packages + "/blender", "shared/x"} {
		whole := filepath.Join(scene.server.rootPath, folder)
		if err := os.MkdirAll(whole, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(whole, "file"), make([]byte, 1_000_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	size := treeSize(scene.server.root, ".") - before
	expect(t, "one file of three is counted", size >= 1_000_000 && size < 1_100_000, true)
}
