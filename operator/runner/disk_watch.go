package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// The disk watch (safety rule S8.5). A disk that is full fails every task of the node, and an emptyDir above its limit has
// the whole pod evicted. Before it comes to that, the run with the largest directory is killed.
//
// What it wrote stays, for people to look at; so the next one is killed only when the disk has filled further meanwhile.

const (
	diskLook  = 100 * time.Millisecond
	diskWalk  = time.Second // at least, between two walks through the whole directory
	walkShare = 20          // and so many times as long as a walk takes
	diskStep  = 0.01        // of the limit: what a run must hold, and the disk have filled, before another is killed
)

type diskWatch struct {
	server *server
	sample func() (used, limit int64, err error)
	killed int64 // what was used when a run was killed last, 0 = there was enough since
	dying  *run
}

// watchDisk looks while something runs.
func (s *server) watchDisk() {
	watch := diskWatch{server: s, sample: s.fileSystem}
	if s.diskLimit > 0 {
		watch.sample = s.directory
	}
	for {
		began := time.Now()
		watch.look()
		pause := diskLook
		if s.diskLimit > 0 {
			pause = max(diskWalk, walkShare*time.Since(began))
		}
		time.Sleep(pause)
	}
}

func (w *diskWatch) look() {
	runs := w.server.allLive()
	if len(runs) == 0 {
		return
	}
	used, limit, err := w.sample()
	if err != nil || float64(used) < killAbove*float64(limit) {
		w.killed = 0
		return
	}
	step := int64(diskStep * float64(limit))
	if (w.dying != nil && w.server.isLive(w.dying)) || (w.killed > 0 && used < w.killed+step) {
		return
	}
	sizes := map[string]int64{}
	for _, r := range runs {
		sizes[r.request.ID] = treeSize(w.server.root, r.request.Dir)
	}
	largest := largestOf(runs, sizes)
	w.killed = used
	if size := sizes[largest.request.ID]; size < step {
		log("the disk is nearly full, and no task's directory is to blame", "used", used, "limit", limit)
		return
	}
	w.dying = largest
	text := fmt.Sprintf("the node's disk held %s of %s, and this task's directory the most of it: %s",
		mebibytes(used), mebibytes(limit), mebibytes(sizes[largest.request.ID]))
	log("killed the run with the largest directory: the disk is nearly full", "run", largest.request.ID, "used", used, "limit", limit)
	largest.end(ending{causeDiskFull, "DiskFull", text, 0})
}

// fileSystem is how full the file system is that the node's directory lies on, as df counts.
func (s *server) fileSystem() (used, limit int64, err error) {
	var told syscall.Statfs_t
	if err := syscall.Statfs(s.rootPath, &told); err != nil {
		return 0, 0, err
	}
	blocks := int64(told.Blocks - told.Bfree)
	return blocks * told.Bsize, (blocks + int64(told.Bavail)) * told.Bsize, nil
}

// directory is how full the node's directory is, when it has a limit of its own.
func (s *server) directory() (used, limit int64, err error) {
	return treeSize(s.root, "."), s.diskLimit, nil
}

// treeSize is what a tree takes on the disk, in bytes; what goes away meanwhile is not counted, nor what is mounted there.
func treeSize(root *os.Root, name string) int64 {
	var size int64
	_ = fs.WalkDir(root.FS(), name, func(place string, one fs.DirEntry, err error) error {
		if err != nil || one == nil {
			return nil // gone, or locked by the task
		}
		if place == mounts || place == packages {
			return fs.SkipDir
		}
		if info, err := one.Info(); err == nil {
			if stat, is := info.Sys().(*syscall.Stat_t); is {
				size += stat.Blocks * 512
			}
		}
		return nil
	})
	return size
}
