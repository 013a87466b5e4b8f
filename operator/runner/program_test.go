package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestProgramsAreFoundAsAShellDoes(t *testing.T) {
	wd := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/tool": 0o755, "own": 0o755, "bin/text": 0o644, "other/text": 0o755} {
		found := filepath.Join(wd, name)
		_ = os.MkdirAll(filepath.Dir(found), 0o755)
		if err := os.WriteFile(found, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []struct{ name, path, want string }{
		{"tool", "PATH=/nowhere:" + wd + "/bin", "bin/tool"},
		{"tool", "PATH=bin", "bin/tool"},
		{"own", "PATH=", ""},
		{"own", "PATH=:/nowhere", "own"},
		{"./own", "PATH=/nowhere", "own"},
		{"text", "PATH=" + wd + "/bin:" + wd + "/other", "other/text"},
		{"bin", "PATH=" + wd, ""},
		{"./bin/text", "", ""},
	} {
		got, err := lookPath(one.name, []string{one.path}, wd)
		if one.want == "" {
			if err == nil {
				t.Errorf("%s in %s was found: %s", one.name, one.path, got)
			}
			continue
		}
		expect(t, one.name+" in "+one.path, got, filepath.Join(wd, one.want))
	}
	if _, err := lookPath("sh", nil, wd); err != nil {
		t.Error("without PATH: ", err)
	}
}

func TestALaterValueReplacesAnEarlierOne(t *testing.T) {
	got := overlay([]string{"A=1", "B=2"}, []string{"B=3", "BATCHPOOLS_COOKIE=mine", "C=4"}, "BATCHPOOLS_COOKIE=ours")
	if want := []string{"A=1", "B=3", "BATCHPOOLS_COOKIE=ours", "C=4"}; !slices.Equal(got, want) {
		t.Error(got)
	}
}

func TestALongCommandThatFailsIsToldInAShortMessage(t *testing.T) {
	p, _ := begin(t).hello()
	for id, program := range map[string]string{"a": strings.Repeat("x", 500_000), "b": "/" + strings.Repeat("x", 500_000), "c": ""} {
		done := p.finish(id, "", message{"argv": []string{program}})
		expect(t, "cause", done["cause"], causeLaunchFailed)
		if size := len(done["message"].(string)); size > 2000 {
			t.Error("message of ", size)
		}
	}
}
