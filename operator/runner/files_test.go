package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestAListNamesWhatIsThere(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	p.finish("a", "mkdir d; printf 12345 > f", nil)
	p.send(message{"op": "list", "req": 1, "path": "workitems/j/a/wd"})
	found := p.next("entries")["entries"].([]any)
	expect(t, "entries", len(found), 2)
	folder, file := found[0].(map[string]any), found[1].(map[string]any)
	expect(t, "first", folder["name"].(string)+" "+strconv.FormatBool(folder["dir"].(bool)), "d true")
	expect(t, "second", file["name"].(string)+" "+strconv.FormatBool(file["dir"].(bool)), "f false")
	expect(t, "size", file["size"], 5.0)
	p.send(message{"op": "list", "req": 2, "path": "volatile"})
	expect(t, "entries of an empty directory", len(p.next("entries")["entries"].([]any)), 0)
}

func TestAListOfAHugeDirectoryFitsInAFrameAndSaysThatThereIsMore(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	for n := range 2000 {
		name := strings.Repeat("<", 240) + strconv.Itoa(n) // < takes six bytes in a frame
		if err := os.WriteFile(filepath.Join(f.root, "shared", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.send(message{"op": "list", "req": 1, "path": "shared"})
	expect(t, "more", p.next("entries")["more"], true)
}

func TestARemovedPathCanBeUsedAgainAtOnce(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	for n := range 5 {
		id := "again" + strconv.Itoa(n)
		p.finish("a", "i=0; while [ $i -lt 300 ]; do mkdir d$i; : > d$i/f; i=$((i+1)); done", nil)
		p.send(message{"op": "remove", "req": 1, "path": "workitems/j/a"})
		p.run(id, "ls; echo new", message{"dir": "workitems/j/a"})
		seen := 0
		for seen < 2 {
			m, err := p.read()
			if err != nil {
				t.Fatal(err)
			}
			if m["op"] == "done" || m["op"] == "finished" {
				seen++
			}
		}
		p.send(message{"op": "ack", "ids": []string{id}})
		expect(t, "stdout", f.file("workitems/j/a/stdout.txt"), "new\n")
	}
	p.run("live", "sleep 600", message{"dir": "workitems/j/live"})
	p.next("started")
	for _, path := range []string{"workitems/j/live", "workitems/j", "workitems/j/live/wd"} {
		p.send(message{"op": "remove", "req": 3, "path": path})
		expect(t, "code for "+path, p.next("error")["code"], "InUse")
	}
	p.send(message{"op": "kill", "id": "live", "grace": 0})
	p.next("finished")
	p.send(message{"op": "remove", "req": 2, "path": "workitems/j/nothing"})
	p.next("done")
	left, _ := os.ReadDir(filepath.Join(f.root, trash))
	expect(t, "trash", len(left), 0)
}

func TestWhatAnEarlierProcessLeftInTheTrashGoes(t *testing.T) {
	f := beginWith(t, setting{prelude: "mkdir -p \"$5\"/volatile/removed-x/y"})
	waitFor(t, "an empty trash", func() bool {
		left, err := os.ReadDir(filepath.Join(f.root, trash))
		return err == nil && len(left) == 0
	})
}

func TestATreeThatATaskMadeReadOnlyIsRemoved(t *testing.T) {
	f := beginWith(t, setting{uid: otherUser()}) // root may do anything
	p, _ := f.hello()
	script := "mkdir -p cache/mod; : > cache/mod/file; chmod -R a-w cache; mkdir locked; : > locked/x; chmod 0 locked; chmod 0 ../tmp"
	p.finish("a", script, nil)
	p.finish("a", "ls -A", message{"fresh": true})
	expect(t, "wd of a fresh run", f.file("workitems/j/a/stdout.txt"), "")
	p.finish("a", script+"; chmod 0 . ..", nil)
	expect(t, "exit code of a retry", p.finish("a", "true", nil)["exitCode"], 0.0)
	p.send(message{"op": "remove", "req": 1, "path": "workitems/j/a"})
	p.next("done")
	left, _ := os.ReadDir(filepath.Join(f.root, trash))
	expect(t, "trash", len(left), 0)
}

func TestTheGroupMayWriteToDirectoriesWhateverTheUmask(t *testing.T) {
	f := beginWith(t, setting{prelude: "umask 077"})
	p, _ := f.hello()
	p.finish("a", "umask", nil)
	for _, name := range append(layout, "workitems/j", "workitems/j/a", "workitems/j/a/wd", "workitems/j/a/tmp") {
		info, err := os.Stat(filepath.Join(f.root, name))
		if err != nil || info.Mode().Perm() != 0o770 {
			t.Error(name, info.Mode(), err)
		}
	}
	expect(t, "the task's umask", f.file("workitems/j/a/stdout.txt"), "0077\n")
}
