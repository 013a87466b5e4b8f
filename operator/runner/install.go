package main

import (
	"io"
	"os"
	"path/filepath"
)

// install copies this program to folder/runner: whoever finds it finds it whole.
func install(folder string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	source, err := os.Open(self)
	if err != nil {
		return err
	}
	defer source.Close()
	temporary := filepath.Join(folder, ".runner.partial")
	target, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	if err := target.Close(); err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o555); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(folder, "runner"))
}
