package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Where programs are looked for when neither image nor task sets PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// containerEnvironment is what tasks inherit: the container's own, without ours.
func containerEnvironment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(pair string) bool { return strings.HasPrefix(pair, "BATCHPOOLS_") })
}

// overlay puts later pairs over earlier ones of the same name.
func overlay(container, task []string, cookie string) []string {
	merged := make([]string, 0, len(container)+len(task)+1)
	place := map[string]int{}
	for _, pair := range slices.Concat(container, task, []string{cookie}) {
		name, _, _ := strings.Cut(pair, "=")
		if at, there := place[name]; there {
			merged[at] = pair
			continue
		}
		place[name] = len(merged)
		merged = append(merged, pair)
	}
	return merged
}

// lookPath finds a program as a shell would, with the task's own PATH and working directory.
func lookPath(name string, env []string, wd string) (string, error) {
	if strings.Contains(name, "/") {
		name = below(wd, name)
		return name, executable(name)
	}
	folders := defaultPath
	for _, pair := range env {
		if value, is := strings.CutPrefix(pair, "PATH="); is {
			folders = value
		}
	}
	for _, folder := range filepath.SplitList(folders) {
		if candidate := filepath.Join(below(wd, folder), name); executable(candidate) == nil {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("program %q is not in the task's PATH", shorten(name))
}

func below(wd, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(wd, name)
}

func executable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("program %q: %w", shorten(name), errors.Unwrap(err))
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("program %q is not executable", shorten(name))
	}
	return nil
}
