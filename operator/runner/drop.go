package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Where a pool allows elevated tasks this process is root of its container, and every run that is not elevated gets the
// rights of the tasks' user (safety rule S8.6). Then the directories that hold more than one run's are root's: a task can
// neither replace another one's directory nor make one where a run is to begin.

// taskUser is whose rights runs have that are not elevated. nil: everything has this process's rights.
type taskUser struct {
	uid, gid int
	groups   []uint32
}

var errNotElevated = errors.New("this node cannot elevate tasks: its pod was made before its pool allowed it")

// parseTaskUser reads "uid:gid:group,group"; an empty text is nobody.
func parseTaskUser(text string) (*taskUser, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return nil, fmt.Errorf("--task-user %q is not uid:gid:groups", text)
	}
	var numbers []uint32
	for _, one := range append(parts[:2:2], strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' })...) {
		number, err := strconv.ParseUint(one, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("--task-user: %q is no id", one)
		}
		numbers = append(numbers, uint32(number))
	}
	if numbers[0] == 0 {
		return nil, errors.New("--task-user: tasks that are not elevated cannot be root")
	}
	return &taskUser{uid: int(numbers[0]), gid: int(numbers[1]), groups: numbers[2:]}, nil
}

// credential is what a run is forked with; nil = as this process.
func (s *server) credential(r *run) (*syscall.Credential, error) {
	switch {
	case s.tasks == nil && r.request.Elevated:
		return nil, errNotElevated
	case s.tasks == nil || r.request.Elevated:
		return nil, nil
	}
	return &syscall.Credential{Uid: uint32(s.tasks.uid), Gid: uint32(s.tasks.gid), Groups: s.tasks.groups}, nil
}

// ownLayout makes what several runs share root's. In shared/ all may write, and nobody may remove what is another user's.
func (s *server) ownLayout() error {
	if s.tasks == nil {
		return nil
	}
	modes := map[string]fs.FileMode{
		".": 0o755, "workitems": 0o750, trash: 0o700, "shared": 0o770 | fs.ModeSticky,
		mounts: 0o750,
	}
	for name, mode := range modes {
		if err := give(s.root, name, 0, s.tasks.gid, mode|fs.ModeSetgid); err != nil {
			return err
		}
	}
	return nil
}

// makeShared opens a directory that holds those of several runs, making it when it is not there.
func (s *server) makeShared(parent *os.Root, name string) (*os.Root, error) {
	made, err := makeReal(parent, name)
	if err != nil || s.tasks == nil {
		return made, err
	}
	if err := give(made, ".", 0, s.tasks.gid, 0o750|fs.ModeSetgid); err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

// makeOwn opens a directory of one run, making it when it is not there: it is the run's user's.
func (s *server) makeOwn(parent *os.Root, name string, message request) (*os.Root, error) {
	made, err := makeReal(parent, name)
	if err != nil || s.tasks == nil {
		return made, err
	}
	uid, mode := s.tasks.uid, fs.FileMode(0o770)
	if message.Elevated {
		uid, mode = 0, elevatedMode(message.Dir)
	}
	if err := give(made, ".", uid, s.tasks.gid, mode|fs.ModeSetgid); err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

// elevatedMode: what an elevated start task leaves is there for tasks to read, what an elevated task does is its own.
func elevatedMode(dir string) fs.FileMode {
	if strings.HasPrefix(dir, "workitems/") {
		return 0o700
	}
	return 0o750
}

// ownFile gives an output file that was just made to the run's user.
func (s *server) ownFile(file *os.File, message request) error {
	if s.tasks == nil {
		return nil
	}
	uid, mode := s.tasks.uid, fs.FileMode(0o660)
	if message.Elevated {
		uid, mode = 0, elevatedMode(message.Dir)&0o660
	}
	return errors.Join(file.Chown(uid, s.tasks.gid), file.Chmod(mode))
}

// deliver gives a file that was brought to the run's user, with the mode that was asked for.
func (s *server) deliver(file *os.File, message request, mode fs.FileMode) error {
	if s.tasks == nil {
		return file.Chmod(mode)
	}
	uid := s.tasks.uid
	if message.Elevated {
		uid = 0
	}
	return errors.Join(file.Chown(uid, s.tasks.gid), file.Chmod(mode))
}

// give hands a directory over by its descriptor: what has its name by then does not matter.
func give(parent *os.Root, name string, uid, gid int, mode fs.FileMode) error {
	folder, err := parent.Open(name + "/.")
	if err != nil {
		return err
	}
	defer folder.Close()
	return errors.Join(folder.Chown(uid, gid), folder.Chmod(mode))
}

// environmentOf is a process's initial environment. The kernel shows it to the process's own user and to none but a
// tracer beside, not to root without that capability: so a thread of ours becomes that user for the moment of opening.
func environmentOf(pid int) ([]byte, error) {
	name := "/proc/" + strconv.Itoa(pid)
	environment, err := os.ReadFile(name + "/environ")
	if !errors.Is(err, fs.ErrPermission) || os.Geteuid() != 0 {
		return environment, err
	}
	info, failed := os.Stat(name)
	if failed != nil {
		return nil, failed
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return environment, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self := os.Getegid()
	_ = syscall.Setfsgid(int(owner.Gid)) // of this thread alone
	_ = syscall.Setfsuid(int(owner.Uid))
	defer func() {
		_ = syscall.Setfsuid(0)
		_ = syscall.Setfsgid(self)
		_ = prctl(setDumpable, 0) // a change of user sets it to what the machine says
	}()
	return os.ReadFile(name + "/environ")
}
