package main

import (
	"errors"
	"os"
	"path"
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
func (s *server) prepare(message request) (*outputs, string, error) {
	if !relative(message.Dir) {
		return nil, "ResourceDirectoryCreateFailed", errors.New("the directory must be relative and clean: " + shorten(message.Dir))
	}
	files, err := s.makeTaskDirectory(message)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil, "DiskFull", err
	}
	return files, "ResourceDirectoryCreateFailed", err
}

func (s *server) makeTaskDirectory(message request) (*outputs, error) {
	parent, name := s.root, message.Dir
	if above, last := path.Split(message.Dir); above != "" {
		shared, err := descend(s.root, path.Clean(above), s.makeShared)
		if err != nil {
			return nil, err
		}
		defer shared.Close()
		parent, name = shared, last
	}
	folder, err := s.makeOwn(parent, name, message)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	for _, name := range []string{"wd", "tmp"} {
		if message.Fresh {
			if err := removeTree(folder, name); err != nil {
				return nil, err
			}
		}
		made, err := s.makeOwn(folder, name, message)
		if err != nil {
			return nil, err
		}
		made.Close()
	}
	return s.openOutputs(folder, message)
}

func (s *server) openOutputs(folder *os.Root, message request) (*outputs, error) {
	files := &outputs{}
	var err error
	if files.null, err = os.Open(os.DevNull); err == nil {
		files.stdout, err = newFile(folder, "stdout.txt")
	}
	if err == nil {
		files.stderr, err = newFile(folder, "stderr.txt")
	}
	if err == nil {
		err = errors.Join(s.ownFile(files.stdout, message), s.ownFile(files.stderr, message))
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
