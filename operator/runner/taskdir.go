package main

import (
	"errors"
	"os"
	"syscall"
)

// outputs are a run's three standard streams.
type outputs struct{ null, stdout, stderr *os.File }

func (o *outputs) close() {
	for _, file := range []*os.File{o.null, o.stdout, o.stderr} {
		if file != nil {
			file.Close()
		}
	}
}

// size is how much the run has written.
func (o *outputs) size() int64 {
	var size int64
	for _, file := range []*os.File{o.stdout, o.stderr} {
		if info, err := file.Stat(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// prepare makes a task's directory with wd and tmp, and its two empty output files. The string is the failure's code.
func (s *server) prepare(dir string, fresh bool) (*outputs, string, error) {
	if !relative(dir) {
		return nil, "ResourceDirectoryCreateFailed", errors.New("the directory must be relative and clean: " + shorten(dir))
	}
	files, err := s.makeTaskDirectory(dir, fresh)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil, "DiskFull", err
	}
	return files, "ResourceDirectoryCreateFailed", err
}

func (s *server) makeTaskDirectory(dir string, fresh bool) (*outputs, error) {
	folder, err := descend(s.root, dir, makeReal)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	for _, name := range []string{"wd", "tmp"} {
		if fresh {
			if err := removeTree(folder, name); err != nil {
				return nil, err
			}
		}
		made, err := makeReal(folder, name)
		if err != nil {
			return nil, err
		}
		made.Close()
	}
	return openOutputs(folder)
}

func openOutputs(folder *os.Root) (*outputs, error) {
	files := &outputs{}
	var err error
	if files.null, err = os.Open(os.DevNull); err == nil {
		files.stdout, err = newFile(folder, "stdout.txt")
	}
	if err == nil {
		files.stderr, err = newFile(folder, "stderr.txt")
	}
	if err != nil {
		files.close()
		return nil, err
	}
	return files, nil
}

// newFile makes an empty file in place of whatever has the name: nothing is followed, nothing else is truncated.
func newFile(folder *os.Root, name string) (*os.File, error) {
	if err := removeTree(folder, name); err != nil {
		return nil, err
	}
	return folder.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o660)
}
