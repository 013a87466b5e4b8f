package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// All file access goes through an os.Root on the node's directory: no symlink that a task plants leads out of it.

var layout = []string{"applications", "fsmounts", "shared", "startup", "volatile", "workitems"}

func openRoot(folder string) (*os.Root, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	for _, name := range layout {
		if err := root.Mkdir(name, 0o770); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return root, nil
}

type outputs struct{ null, stdout, stderr *os.File }

func (o *outputs) close() {
	for _, file := range []*os.File{o.null, o.stdout, o.stderr} {
		if file != nil {
			file.Close()
		}
	}
}

// prepare makes a task's directory with wd and tmp, and its two empty output files. The string is the failure's code.
func (s *server) prepare(dir string, fresh bool) (*outputs, string, error) {
	if !relative(dir) {
		return nil, "ResourceDirectoryCreateFailed", errors.New("the directory must be relative and clean: " + dir)
	}
	files, err := s.makeTree(dir, fresh)
	if errors.Is(err, syscall.ENOSPC) {
		return nil, "DiskFull", err
	}
	return files, "ResourceDirectoryCreateFailed", err
}

func (s *server) makeTree(dir string, fresh bool) (*outputs, error) {
	for _, name := range []string{dir, dir + "/wd", dir + "/tmp"} {
		if fresh && name != dir {
			if err := s.root.RemoveAll(name); err != nil {
				return nil, err
			}
		}
		if err := s.makeDirectory(name); err != nil {
			return nil, err
		}
	}
	files := &outputs{}
	var err error
	if files.null, err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	if files.stdout, err = s.emptyFile(dir + "/stdout.txt"); err == nil {
		files.stderr, err = s.emptyFile(dir + "/stderr.txt")
	}
	if err != nil {
		files.close()
		return nil, err
	}
	return files, nil
}

// makeDirectory makes a directory; what stands there instead of one (a planted link) goes.
func (s *server) makeDirectory(name string) error {
	if info, err := s.root.Lstat(name); err == nil && !info.IsDir() {
		if err := s.root.Remove(name); err != nil {
			return err
		}
	}
	return s.root.MkdirAll(name, 0o770)
}

// emptyFile opens a regular file for writing, empty; what stands there instead of one goes.
func (s *server) emptyFile(name string) (*os.File, error) {
	if info, err := s.root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		if err := s.root.RemoveAll(name); err != nil {
			return nil, err
		}
	}
	return s.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o660)
}

func (s *server) outputSize(dir string) int64 {
	var size int64
	for _, name := range []string{"/stdout.txt", "/stderr.txt"} {
		if info, err := s.root.Lstat(dir + name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// read answers with a piece of a regular file.
func (s *server) read(message request) any {
	if !relative(message.Path) {
		return refusal(message, "Escapes", "the path must be relative and clean")
	}
	info, err := s.root.Lstat(message.Path)
	if err != nil {
		return failure(message, err)
	}
	if !info.Mode().IsRegular() {
		return refusal(message, "NotRegular", "not a regular file")
	}
	file, err := s.root.OpenFile(message.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return failure(message, err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil || !info.Mode().IsRegular() {
		return refusal(message, "NotRegular", "not a regular file")
	}
	offset := message.Offset
	if offset < 0 {
		offset = max(0, info.Size()+offset)
	}
	limit := min(max(message.Limit, 0), maxRead)
	piece := make([]byte, limit)
	count, err := file.ReadAt(piece, offset)
	if count == 0 && err != nil && offset < info.Size() {
		return failure(message, err)
	}
	return data{Op: "data", Req: message.Req, Data: piece[:count], Offset: offset, Size: info.Size()}
}

// list answers with the entries of a directory.
func (s *server) list(message request) any {
	if !relative(message.Path) {
		return refusal(message, "Escapes", "the path must be relative and clean")
	}
	folder, err := s.root.Open(message.Path)
	if err != nil {
		return failure(message, err)
	}
	defer folder.Close()
	found, err := folder.ReadDir(4096)
	if err != nil && len(found) == 0 && !errors.Is(err, fs.ErrClosed) {
		found = nil
	}
	answer := entries{Op: "entries", Req: message.Req, Entries: []entry{}}
	for _, one := range found {
		if info, err := one.Info(); err == nil {
			item := entry{Name: one.Name(), Dir: one.IsDir(), Size: info.Size(), ModifiedAt: seconds(info.ModTime())}
			answer.Entries = append(answer.Entries, item)
		}
	}
	return answer
}

// remove removes a tree below workitems.
func (s *server) remove(message request) any {
	if !relative(message.Path) || !strings.HasPrefix(message.Path, "workitems/") {
		return refusal(message, "Escapes", "only what lies below workitems is removed")
	}
	if err := s.root.RemoveAll(message.Path); err != nil {
		return failure(message, err)
	}
	return note{Op: "done", Req: message.Req}
}

func relative(name string) bool {
	return name != "" && name != "." && fs.ValidPath(name) && path.Clean(name) == name
}

func refusal(message request, code, text string) note {
	return note{Op: "error", Req: message.Req, Code: code, Message: text}
}

func failure(message request, err error) note {
	code := "Failed"
	if errors.Is(err, fs.ErrNotExist) {
		code = "NotFound"
	} else if strings.Contains(err.Error(), "escapes") {
		code = "Escapes"
	}
	return note{Op: "error", Req: message.Req, Code: code, Message: err.Error()}
}
