package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// delivery is what an agent brings into the working directory of a run that awaits it. A file grows under a name of ours,
// and gets its own when it is whole. No link is followed: what stands where a directory is needed goes.
type delivery struct {
	server  *server
	message request // the run's
	parts   map[string]*part
}

// part is a file that is not whole yet.
type part struct {
	folder     *os.Root
	file       *os.File
	name, last string // here, and in the end
	size       int64
}

// undelivered says why, with the code of a task's failure.
type undelivered struct {
	code string
	err  error
}

func newDelivery(s *server, message request) *delivery {
	return &delivery{server: s, message: message, parts: map[string]*part{}}
}

// put takes the next piece of a file: offset 0 begins it anew, last gives it its name.
func (d *delivery) put(message request) note {
	failed := d.take(message)
	if failed == nil {
		return note{Op: "done", Req: message.Req}
	}
	d.dropOne(message.Path)
	code := failed.code
	if errors.Is(failed.err, syscall.ENOSPC) || errors.Is(failed.err, syscall.EDQUOT) {
		code = "DiskFull"
	}
	return refusal(message, code, failed.err.Error())
}

func (d *delivery) take(message request) *undelivered {
	if message.Offset == 0 {
		d.dropOne(message.Path)
		if failed := d.open(message.Path); failed != nil {
			return failed
		}
	}
	one := d.parts[message.Path]
	if one == nil || one.size != message.Offset {
		return &undelivered{"ResourceFileWriteFailed", fmt.Errorf("%s: a piece is missing before byte %d", message.Path, message.Offset)}
	}
	if _, err := one.file.Write(message.Data); err != nil {
		return &undelivered{"ResourceFileWriteFailed", err}
	}
	one.size += int64(len(message.Data))
	if !message.Last {
		return nil
	}
	return d.finish(message)
}

// open makes the directories of a file, and a file beside where it is to be.
func (d *delivery) open(name string) *undelivered {
	if !relative(name) {
		return &undelivered{"ResourceFileCreateFailed", fmt.Errorf("%s does not lie in the working directory", shorten(name))}
	}
	folder, err := d.folderOf(name)
	if err != nil {
		return &undelivered{"ResourceDirectoryCreateFailed", err}
	}
	one := &part{folder: folder, name: ".batchpools-" + randomHex(), last: path.Base(name)}
	one.file, err = folder.OpenFile(one.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		folder.Close()
		return &undelivered{"ResourceFileCreateFailed", err}
	}
	d.parts[name] = one
	return nil
}

func (d *delivery) folderOf(name string) (*os.Root, error) {
	wd, err := descend(d.server.root, d.message.Dir+"/wd", openReal)
	if err != nil || path.Dir(name) == "." {
		return wd, err
	}
	defer wd.Close()
	return descend(wd, path.Dir(name), func(parent *os.Root, part string) (*os.Root, error) {
		return d.server.makeOwn(parent, part, d.message)
	})
}

// finish gives a whole file to the run's user, and its name.
func (d *delivery) finish(message request) *undelivered {
	one := d.parts[message.Path]
	err := d.server.deliver(one.file, d.message, fs.FileMode(message.Mode)&fs.ModePerm)
	if err == nil {
		err = one.folder.Rename(one.name, one.last)
	}
	if err != nil {
		return &undelivered{"ResourceFileWriteFailed", err}
	}
	delete(d.parts, message.Path)
	one.file.Close()
	one.folder.Close()
	return nil
}

// drop removes what is not whole.
func (d *delivery) drop() {
	for name := range d.parts {
		d.dropOne(name)
	}
}

func (d *delivery) dropOne(name string) {
	one := d.parts[name]
	if one == nil {
		return
	}
	delete(d.parts, name)
	one.file.Close()
	_ = one.folder.Remove(one.name)
	one.folder.Close()
}
