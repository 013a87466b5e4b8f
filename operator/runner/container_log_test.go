package main

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"
)

// logged starts a runner whose standard output is read, and gives the next line of it.
func logged(t *testing.T) (*peer, func() string) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	f := beginWith(t, setting{prelude: "exec >&3", files: []*os.File{in}})
	in.Close()
	p, _ := f.hello()
	lines := make(chan string, 4096)
	go func() {
		scanner := bufio.NewScanner(out)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
	}()
	return p, func() string {
		select {
		case line := <-lines:
			return line
		case <-time.After(20 * time.Second):
			t.Fatal("nothing more was logged")
			return ""
		}
	}
}

func TestWhatFailedRunsWroteIsLoggedLineByLineBehindTheirNames(t *testing.T) {
	p, next := logged(t)
	failed := message{"log": logFailed, "logName": "j/a#1"}
	p.finish("a", "echo fine", failed)
	p.finish("b", "echo nobody asked; exit 1", nil)
	p.finish("c", "printf 'one\\n\\ntwo'; echo three >&2; exit 1", message{"log": logFailed, "logName": "j/c#2"})
	for _, want := range []string{"j/c#2| one", "j/c#2| ", "j/c#2| two", "j/c#2| three"} {
		expect(t, "line", next(), want)
	}
	p.finish("d", "echo all", message{"log": logAll, "logName": "j/d#1"})
	expect(t, "line", next(), "j/d#1| all")
}

func TestOnlyTheLastOfALongOutputIsLoggedAndNoLinkIsFollowed(t *testing.T) {
	p, next := logged(t)
	script := "yes 123456789 | head -n 10000; echo end; rm ../stderr.txt; ln -s /etc/passwd ../stderr.txt"
	p.finish("a", script, message{"log": logAll, "logName": "n"})
	size, line := 0, next()
	if !strings.HasPrefix(line, "n| …") {
		t.Error("that something was left out is not said: ", line)
	}
	for ; line != "n| end"; line = next() {
		size += len(line) - len("n| ") + 1
	}
	if size > logBytes+8 || size < logBytes/2 {
		t.Error("logged bytes: ", size)
	}
	p.finish("b", "echo next", message{"log": logAll, "logName": "m"})
	expect(t, "line", next(), "m| next")
}
