package main

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

const nonBlocking = syscall.O_NONBLOCK

// read answers with a piece of a regular file.
func (s *server) read(message request) any {
	if !relative(message.Path) {
		return refusal(message, "Escapes", "the path must be relative and clean")
	}
	parent, name, err := parentOf(s.root, message.Path)
	if err != nil {
		return failure(message, err)
	}
	defer parent.Close()
	file, info, err := openRegular(parent, name)
	if err != nil {
		return failure(message, err)
	}
	defer file.Close()
	offset := message.Offset
	if offset < 0 {
		offset = max(0, info.Size()+offset)
	}
	piece := make([]byte, min(max(message.Limit, 0), maxRead))
	count, err := file.ReadAt(piece, offset)
	if count == 0 && err != nil && offset < info.Size() {
		return failure(message, err)
	}
	return data{Op: "data", Req: message.Req, Data: piece[:count], Offset: offset, Size: info.Size()}
}

// list answers with the entries of a directory, by name, as many as a frame holds.
func (s *server) list(message request) any {
	if !relative(message.Path) {
		return refusal(message, "Escapes", "the path must be relative and clean")
	}
	folder, err := descend(s.root, message.Path, openReal)
	if err != nil {
		return failure(message, err)
	}
	defer folder.Close()
	opened, err := folder.Open(".")
	if err != nil {
		return failure(message, err)
	}
	defer opened.Close()
	names, err := opened.Readdirnames(maxEntries)
	if err != nil && len(names) == 0 && err != io.EOF {
		return failure(message, err)
	}
	slices.Sort(names)
	answer := entries{Op: "entries", Req: message.Req, Entries: []entry{}, More: len(names) == maxEntries}
	left := maxFrame - 1<<10
	for _, name := range names {
		info, err := folder.Lstat(name)
		if err != nil {
			continue // gone since
		}
		if left -= encodedSize(name) + entrySize; left < 0 {
			answer.More = true
			break
		}
		answer.Entries = append(answer.Entries, entry{
			Name: name, Dir: info.IsDir(), Size: info.Size(), ModifiedAt: seconds(info.ModTime()),
		})
	}
	return answer
}

// remove removes a tree below workitems. It is moved away at once, so that the same path can be used again by whatever
// is asked next, and removed behind the scenes. The directory of a live run stays, whoever asks.
func (s *server) remove(agent *connection, message request) {
	if !relative(message.Path) || !strings.HasPrefix(message.Path, "workitems/") {
		agent.send(refusal(message, "Escapes", "only what lies below workitems is removed"))
		return
	}
	for _, r := range s.allLive() {
		if holds(message.Path, r.request.Dir) || holds(r.request.Dir, message.Path) {
			agent.send(refusal(message, "InUse", "a run is live in "+r.request.Dir))
			return
		}
	}
	name, err := s.discard(message.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		agent.send(note{Op: "done", Req: message.Req})
	case err != nil:
		agent.send(failure(message, err))
	default:
		go func() {
			if err := removeTree(s.root, name); err != nil {
				agent.send(failure(message, err))
				return
			}
			agent.send(note{Op: "done", Req: message.Req})
		}()
	}
}

// holds says whether a path lies in a directory, or is it.
func holds(folder, name string) bool {
	return strings.HasPrefix(name+"/", folder+"/")
}

// discard moves a tree into the trash and returns its path there.
func (s *server) discard(name string) (string, error) {
	parent, last, err := parentOf(s.root, name)
	if err != nil {
		return "", err
	}
	defer parent.Close()
	info, err := parent.Lstat(last)
	if err != nil {
		return "", err
	}
	if err := permit(parent, last, info, 0o700); err != nil { // moving a directory needs the right to write to it
		return "", err
	}
	bin, err := makeReal(s.root, trash)
	if err != nil {
		return "", err
	}
	defer bin.Close()
	into := trash + "/" + trashPrefix + randomHex()
	return into, s.root.Rename(name, into)
}

// emptyTrash removes what an earlier process of this node did not come to.
func (s *server) emptyTrash() {
	bin, err := openReal(s.root, trash)
	if err != nil {
		return
	}
	defer bin.Close()
	folder, err := bin.Open(".")
	if err != nil {
		return
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, trashPrefix) {
			if err := removeTree(bin, name); err != nil {
				log("cannot empty the trash", "error", err.Error())
			}
		}
	}
}

func refusal(message request, code, text string) note {
	return note{Op: "error", Req: message.Req, Code: code, Message: shorten(text)}
}

// failure says in a word why a file could not be had.
func failure(message request, err error) note {
	code := "Failed"
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		code = "NotFound"
	case errors.Is(err, errNotRegular):
		code = "NotRegular"
	case errors.Is(err, errLink), strings.Contains(err.Error(), "escapes"):
		code = "Escapes"
	}
	return refusal(message, code, err.Error())
}
