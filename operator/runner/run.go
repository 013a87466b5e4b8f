package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// run is one execution, from the request to the report.
type run struct {
	request   request
	cookie    string
	pid       int // 0 until started; under server.mu
	startedAt time.Time
	ended     chan struct{} // closed when the main process has ended
	cause     atomic.Pointer[ending]
}

// ending says why we ended a run; nil when it ended by itself.
type ending struct {
	cause   string
	code    string
	message string
}

// started tells of a run; pid and startedAt are 0 while it is being launched.
func (r *run) started() started {
	told := started{Op: "started", ID: r.request.ID, Label: r.request.Label}
	if r.pid > 0 {
		told.Pid, told.StartedAt = r.pid, seconds(r.startedAt)
	}
	return told
}

// start launches a run; an id that is known is answered with what is known of it.
//
// What an older connection still had to say does not count: its agent has been told that the run is not there.
func (s *server) start(agent *connection, message request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.agent != agent {
		return
	}
	if known, there := s.runs[message.ID]; there {
		if known.pid > 0 {
			s.tell(known.started())
		}
		return
	}
	if known, there := s.finished[message.ID]; there {
		s.tell(known)
		return
	}
	if s.stopping {
		s.tell(finished{Op: "finished", ID: message.ID, Label: message.Label, Cause: causeStopping, EndedAt: seconds(time.Now())})
		return
	}
	r := &run{request: message, cookie: randomHex(), ended: make(chan struct{})}
	s.runs[message.ID] = r
	go s.execute(r)
}

// execute is the life of a run: launch, wait, clean up, report.
func (s *server) execute(r *run) {
	if code, err := s.launch(r); err != nil {
		now := seconds(time.Now())
		s.report(r, finished{Cause: causeLaunchFailed, StartedAt: now, EndedAt: now, Code: code, Message: err.Error()})
		return
	}
	if limit := r.request.WallClock; limit > 0 {
		text := fmt.Sprintf("the task ran longer than its limit of %g s", limit)
		timer := time.AfterFunc(duration(limit), func() { s.end(r, ending{causeWallClock, "TaskEnded", text}, r.request.KillGrace) })
		defer timer.Stop()
	}
	go s.watchOutput(r)
	status, usage := s.wait(r)
	s.report(r, result(r, status, usage))
}

// launch makes the directories and files and forks. The string is the failure's code.
func (s *server) launch(r *run) (string, error) {
	message := r.request
	files, code, err := s.prepare(message.Dir, message.Fresh)
	if err != nil {
		return code, err
	}
	defer files.close()
	if len(message.Argv) == 0 {
		return "CommandLaunchFailed", errors.New("the command is empty")
	}
	env := overlay(s.env, message.Env, "BATCHPOOLS_COOKIE="+r.cookie)
	wd := filepath.Join(s.rootPath, message.Dir, "wd")
	program, err := lookPath(message.Argv[0], env, wd)
	if err != nil {
		return "CommandProgramNotFound", err
	}
	attributes := &syscall.ProcAttr{
		Dir: wd, Env: env,
		Files: []uintptr{files.null.Fd(), files.stdout.Fd(), files.stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked := r.cause.Load(); asked != nil { // killed before it began
		return "", errors.New("ended before it started")
	}
	r.startedAt = time.Now()
	pid, err := syscall.ForkExec(program, message.Argv, attributes)
	if err != nil {
		return "CommandLaunchFailed", fmt.Errorf("cannot start %s: %w", message.Argv[0], err)
	}
	r.pid = pid
	s.tell(r.started())
	return "", nil
}

// end asks a run to end: SIGTERM to its group, SIGKILL after the grace. The first to ask gives the cause.
func (s *server) end(r *run, why ending, grace float64) {
	if !r.cause.CompareAndSwap(nil, &why) {
		return
	}
	s.mu.Lock()
	pid := r.pid
	s.mu.Unlock()
	if pid == 0 {
		return // launch sees the cause
	}
	r.signal(syscall.SIGTERM)
	go func() {
		select {
		case <-r.ended:
		case <-time.After(duration(grace)):
			r.signal(syscall.SIGKILL)
		}
	}()
}

// signal reaches the group only while its leader has not been reaped, so that a reused id is never hit.
func (r *run) signal(number syscall.Signal) {
	select {
	case <-r.ended:
	default:
		_ = syscall.Kill(-r.pid, number)
	}
}

func (s *server) kill(agent *connection, message request) {
	s.mu.Lock()
	r, running := s.runs[message.ID]
	known, done := s.finished[message.ID]
	s.mu.Unlock()
	switch {
	case running:
		s.end(r, ending{causeKilled, "", ""}, message.Grace)
	case done:
		agent.send(known)
	default:
		agent.send(note{Op: "unknown", ID: message.ID})
	}
}

// watchOutput ends a run whose stdout.txt and stderr.txt together pass the limit; it looks once a second.
func (s *server) watchOutput(r *run) {
	limit := r.request.MaxOutputBytes
	if limit <= 0 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-r.ended:
			return
		case <-tick.C:
			if size := s.outputSize(r.request.Dir); size > limit {
				text := fmt.Sprintf("stdout.txt and stderr.txt hold %d bytes, more than %d", size, limit)
				s.end(r, ending{causeOutputLimit, "DiskFull", text}, r.request.KillGrace)
				return
			}
		}
	}
}

// report keeps the result until it is acknowledged, and tells it.
func (s *server) report(r *run, done finished) {
	done.Op, done.ID, done.Label = "finished", r.request.ID, r.request.Label
	if why := r.cause.Load(); why != nil {
		done.Cause, done.Code, done.Message = why.cause, why.code, why.message
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, done.ID)
	s.finished[done.ID] = done
	s.order = append(s.order, done.ID)
	s.tell(done)
	s.idle.Broadcast()
}

func result(r *run, status syscall.WaitStatus, usage syscall.Rusage) finished {
	done := finished{
		Cause: causeExit, StartedAt: seconds(r.startedAt), EndedAt: seconds(time.Now()),
		UserCPU: timeval(usage.Utime), KernelCPU: timeval(usage.Stime), MaxRSS: usage.Maxrss << 10,
	}
	code := status.ExitStatus()
	if status.Signaled() {
		number := int(status.Signal())
		done.Signal, code = &number, 128+number
	}
	done.ExitCode = &code
	return done
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
		if !path.IsAbs(name) {
			name = filepath.Join(wd, name)
		}
		return name, executable(name)
	}
	for _, pair := range env {
		if value, is := strings.CutPrefix(pair, "PATH="); is {
			for _, folder := range filepath.SplitList(value) {
				if candidate := filepath.Join(folder, name); executable(candidate) == nil {
					return candidate, nil
				}
			}
		}
	}
	return "", fmt.Errorf("program %q is not in the task's PATH", name)
}

func executable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("program %q: %w", name, errors.Unwrap(err))
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("program %q is not executable: %w", name, exec.ErrNotFound)
	}
	return nil
}

func seconds(at time.Time) float64           { return float64(at.UnixMicro()) / 1e6 }
func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
func timeval(value syscall.Timeval) float64  { return float64(value.Sec) + float64(value.Usec)/1e6 }
