package main

import (
	"bytes"
	"io"
	"os"
	"path"
)

// What a run wrote goes into the container's own log when the agent asks for it, so that log stacks see it: the last of each
// of its two files, line by line, behind the run's name. A log that nobody reads holds up no run: then lines are left out.

const (
	logFailed = "failed"
	logAll    = "all"

	logBytes = 32 << 10 // of each file
	logAhead = 64       // runs whose lines wait to be written
)

// linesFor reads what is to be written of a run that has ended; nil when that is nothing.
func (s *server) linesFor(r *run, done finished) []byte {
	failed := r.reason() != nil || done.ExitCode == nil || *done.ExitCode != 0
	if r.request.Log != logAll && (r.request.Log != logFailed || !failed) {
		return nil
	}
	var lines bytes.Buffer
	for _, name := range []string{"stdout.txt", "stderr.txt"} {
		text, cut := s.tail(path.Join(r.request.Dir, name), logBytes)
		text = bytes.TrimSuffix(text, []byte("\n"))
		if len(text) == 0 {
			continue
		}
		for number, line := range bytes.Split(text, []byte("\n")) {
			lines.WriteString(shorten(r.request.LogName) + "| ")
			if number == 0 && cut {
				lines.WriteString("…")
			}
			lines.Write(bytes.ToValidUTF8(line, []byte("?")))
			lines.WriteByte('\n')
		}
	}
	return lines.Bytes()
}

// tail is the last of a regular file, and whether something stands before it.
func (s *server) tail(name string, most int64) ([]byte, bool) {
	parent, last, err := parentOf(s.root, name)
	if err != nil {
		return nil, false
	}
	defer parent.Close()
	file, info, err := openRegular(parent, last)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	from := max(info.Size()-most, 0)
	text, err := io.ReadAll(io.NewSectionReader(file, from, most))
	if err != nil {
		return nil, false
	}
	return text, from > 0
}

// toContainerLog hands lines to the writer.
func (s *server) toContainerLog(lines []byte) {
	if len(lines) == 0 {
		return
	}
	select {
	case s.lines <- lines:
	default:
		log("the container's log is not read fast enough: lines of a run are left out")
	}
}

// writeContainerLog is the only one that writes to stdout, so that no two runs' lines mix.
func (s *server) writeContainerLog() {
	for lines := range s.lines {
		_, _ = os.Stdout.Write(lines)
	}
}
