package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What a task plants in its directories leads the runner nowhere.

func TestNothingOutsideIsWrittenThroughWhatATaskPlanted(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	secret := f.outside("out/secret", "secret")
	out := filepath.Dir(secret)
	plants := map[string]string{
		"stdout is a link":      "cd ..; rm stdout.txt; ln -s " + secret + " stdout.txt",
		"stdout is a hard link": "cd ..; rm stdout.txt; ln " + secret + " stdout.txt",
		"stderr is a directory": "cd ..; rm stderr.txt; mkdir -p stderr.txt/x",
		"stdout is a pipe":      "cd ..; rm stdout.txt; mkfifo stdout.txt",
		"wd is a link":          "cd ..; rmdir wd; ln -s " + out + " wd",
		"tmp is a dead link":    "cd ..; rmdir tmp; ln -s /no/where tmp",
		"wd is a file":          "cd ..; rmdir wd; echo x > wd",
		"the task is a link":    "cd ../..; rm -r a; ln -s " + out + " a",
		"the job is a link":     "cd ../../..; rm -r j; ln -s " + out + " j",
		"workitems is a link":   "cd " + f.root + "; rm -r workitems; ln -s " + out + " workitems",
	}
	for what, script := range plants {
		for _, fresh := range []bool{false, true} {
			expect(t, what+", planted", p.finish("a", script, nil)["exitCode"], 0.0)
			done := p.finish("a", "echo again; echo bad >&2; pwd -P; ls -A", message{"fresh": fresh})
			expect(t, what+", exit code", done["exitCode"], 0.0)
			expect(t, what+", stdout", f.file("workitems/j/a/stdout.txt"), "again\n"+filepath.Join(f.root, "workitems/j/a/wd")+"\n")
			content, _ := os.ReadFile(secret)
			expect(t, what+", secret", string(content), "secret")
			left, _ := os.ReadDir(out)
			expect(t, what+", files outside", len(left), 1)
		}
	}
}

func TestNoLinkIsReadListedOrRemovedThrough(t *testing.T) {
	f := begin(t)
	p, _ := f.hello()
	secret := f.outside("secret", "secret")
	p.finish("a", "ln -s "+secret+" secret; ln -s / up; ln -s ../../b/wd near; mkfifo pipe; mkdir d; echo x > d/file; ln -s d down", nil)
	p.finish("b", "echo x > file", nil)
	for name, code := range map[string]string{
		"secret": "NotRegular", "near": "NotRegular", "pipe": "NotRegular", ".": "Escapes", "../../../../secret": "Escapes",
		"up/etc/passwd": "Escapes", "near/file": "Escapes", "down/file": "Escapes", "nothing": "NotFound", "pipe/x": "NotFound", "": "Escapes",
	} {
		p.send(message{"op": "read", "req": 1, "path": "workitems/j/a/wd/" + name, "limit": 100})
		expect(t, "reading "+name, p.next("error")["code"], code)
	}
	p.send(message{"op": "list", "req": 1, "path": "workitems/j/a/wd/near"})
	expect(t, "listing near", p.next("error")["code"], "Escapes")
	p.send(message{"op": "remove", "req": 1, "path": "workitems/j/a/wd/near/file"})
	expect(t, "removing near/file", p.next("error")["code"], "Escapes")
	for _, name := range []string{"shared", "workitems", "workitems/../shared", "/", ""} {
		p.send(message{"op": "remove", "req": 1, "path": name})
		expect(t, "removing "+name, p.next("error")["code"], "Escapes")
	}
	p.send(message{"op": "remove", "req": 2, "path": "workitems/j/a"})
	p.next("done")
	expect(t, "what the link named", f.file("workitems/j/b/wd/file"), "x\n")
	content, _ := os.ReadFile(secret)
	expect(t, "secret", string(content), "secret")
}
