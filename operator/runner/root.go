package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// All file access goes through os.Root, one real directory after the other: no link that a task plants is followed, not
// even one that stays inside. What a task swaps between look and open is seen by comparing the two.

const (
	trash       = "volatile" // where removed trees wait for their end
	trashPrefix = "removed-"
	mounts      = "fsmounts"     // where other file systems are mounted, each in a directory of its name
	packages    = "applications" // a volume of the agent's
)

var layout = []string{packages, mounts, "shared", "startup", trash, "workitems"}

var (
	errLink       = errors.New("a link is not followed")
	errNotRegular = errors.New("not a regular file")
	errSwapped    = errors.New("it was replaced while it was opened")
)

// openRoot opens the node's directory and makes what every node has in it.
func openRoot(folder string) (*os.Root, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	for _, name := range layout {
		made, err := makeReal(root, name)
		if err != nil {
			root.Close()
			return nil, err
		}
		made.Close()
	}
	return root, nil
}

// relative says whether a path names something below the root, in the shortest way.
func relative(name string) bool {
	return name != "." && fs.ValidPath(name) && !strings.ContainsRune(name, 0)
}

// descend opens the directory at a relative path with `step` at each of its parts: openReal or makeReal.
func descend(root *os.Root, name string, step func(*os.Root, string) (*os.Root, error)) (*os.Root, error) {
	here, err := root.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(name, "/") {
		next, err := step(here, part)
		here.Close()
		if err != nil {
			return nil, err
		}
		here = next
	}
	return here, nil
}

// parentOf opens the directory that holds name, and returns name's last part.
func parentOf(root *os.Root, name string) (*os.Root, string, error) {
	folder, last := path.Split(name)
	if folder == "" {
		folder = "."
	}
	parent, err := descend(root, path.Clean(folder), openReal)
	return parent, last, err
}

// openReal opens a directory that is no link.
func openReal(parent *os.Root, name string) (*os.Root, error) {
	info, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		return nil, fmt.Errorf("%s: %w", name, errLink)
	}
	opened, err := parent.OpenRoot(name + "/.") // as a directory: a pipe is not waited for
	if err != nil {
		return nil, err
	}
	if now, err := opened.Stat("."); err != nil || !os.SameFile(info, now) {
		opened.Close()
		return nil, fmt.Errorf("%s: %w", name, errSwapped)
	}
	return opened, nil
}

// makeReal opens a directory, making it when it is not there; what stands there instead of one (a planted link) goes.
func makeReal(parent *os.Root, name string) (*os.Root, error) {
	info, err := parent.Lstat(name)
	if err == nil && !info.IsDir() {
		if err := parent.Remove(name); err != nil {
			return nil, err
		}
		err = fs.ErrNotExist
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := parent.Mkdir(name, 0o770); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if info, err = parent.Lstat(name); err != nil {
			return nil, err
		}
		err = permit(parent, name, info, 0o770) // Mkdir heeds the umask
	case err == nil:
		err = permit(parent, name, info, 0o700) // a task may have locked itself out
	}
	if err != nil {
		return nil, err
	}
	return openReal(parent, name)
}

// permit gives a directory at least these permissions, where they are ours to give.
func permit(parent *os.Root, name string, info fs.FileInfo, least fs.FileMode) error {
	if !info.IsDir() || info.Mode().Perm()&least == least {
		return nil
	}
	kept := info.Mode() & (fs.ModePerm | fs.ModeSetgid | fs.ModeSticky)
	if err := parent.Chmod(name, kept|least); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// openRegular opens a regular file for reading; neither a link nor a pipe is followed or waited for.
func openRegular(parent *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := parent.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	file, err := parent.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, nil, err
	}
	now, err := file.Stat()
	if err == nil && !os.SameFile(info, now) {
		err = errSwapped
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, now, nil
}

// removeTree removes a directory and all that is in it, also what a task made read-only.
func removeTree(parent *os.Root, name string) error {
	err := parent.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = fs.WalkDir(parent.FS(), name, func(found string, one fs.DirEntry, _ error) error {
		if one != nil && one.IsDir() {
			_ = parent.Chmod(found, 0o700) // before its entries are read
		}
		return nil
	})
	return parent.RemoveAll(name)
}
