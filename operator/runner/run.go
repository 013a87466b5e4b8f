package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// run is one execution, from the request to the report.
type run struct {
	request request
	cookie  string
	before  uint64        // the last look at processes before it was forked
	ended   chan struct{} // closed when the main process has ended
	asked   chan struct{} // closed when its end was asked for before it had one
	inbox   chan brought  // what is said of the files that it awaits; nil when it awaits none

	mu        sync.Mutex
	pid       int // 0 until started
	startedAt time.Time
	awaiting  bool    // it takes files
	gone      bool    // the main process has ended: its ids may soon be another's, and nothing changes the cause
	why       *ending // nil while nobody asked for its end
}

func newRun(message request) *run {
	r := &run{request: message, cookie: randomHex(), ended: make(chan struct{}), asked: make(chan struct{})}
	if message.Awaits {
		r.awaiting, r.inbox = true, make(chan brought, mostWaiting)
	}
	return r
}

// started tells of a run; pid and startedAt are 0 while it is being launched, pid alone while it awaits files.
func (r *run) started() started {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := started{Op: "started", ID: r.request.ID, Label: r.request.Label}
	told.Pid = r.pid
	if !r.startedAt.IsZero() {
		told.StartedAt = seconds(r.startedAt)
	}
	return told
}

// execute is the life of a run: launch, wait, clean up, report.
func (s *server) execute(r *run) {
	if limit := r.request.WallClock; limit > 0 {
		text := fmt.Sprintf("the task ran longer than its limit of %g s", limit)
		why := ending{causeWallClock, "TaskEnded", text, r.request.KillGrace}
		timer := time.AfterFunc(duration(limit), func() { r.end(why) })
		defer timer.Stop()
	}
	files, code, err := s.launch(r)
	if err != nil {
		now := seconds(time.Now())
		began := now
		if told := r.started(); told.StartedAt > 0 {
			began = told.StartedAt
		}
		s.report(r, finished{Cause: causeLaunchFailed, StartedAt: began, EndedAt: now, Code: code, Message: err.Error()})
		return
	}
	defer files.close()
	go r.watchOutput(files)
	done := s.wait(r)
	lines := s.linesFor(r, done) // before it is told: a retry would empty the files
	s.report(r, done)
	s.toContainerLog(lines)
}

// launch makes the directories and files, takes what the run awaits, and forks. The string is the failure's code.
func (s *server) launch(r *run) (*outputs, string, error) {
	message := r.request
	defer r.closeInbox()
	files, code, err := s.prepare(message)
	if err != nil {
		return nil, code, err
	}
	if message.Awaits {
		code, err = s.await(r)
		r.closeInbox()
	}
	if err == nil {
		code, err = s.fork(r, files)
	}
	if err != nil {
		files.close()
		return nil, code, err
	}
	s.mu.Lock()
	s.tell(r.started())
	s.mu.Unlock()
	return files, "", nil
}

// fork starts the command in its working directory; a run that was ended before is not started.
func (s *server) fork(r *run, files *outputs) (string, error) {
	argv := r.request.Argv
	if len(argv) == 0 || argv[0] == "" {
		return "CommandLaunchFailed", errors.New("the command is empty")
	}
	credential, err := s.credential(r)
	if err != nil {
		return "CommandLaunchFailed", err
	}
	env := overlay(s.env, r.request.Env, cookieName+r.cookie)
	wd := filepath.Join(s.rootPath, r.request.Dir, "wd")
	program, err := lookPath(argv[0], env, wd)
	if err != nil {
		return "CommandProgramNotFound", err
	}
	s.forks.RLock()
	defer s.forks.RUnlock()
	if !r.request.StartTask {
		s.daemons.close()
	}
	if r.askedToEnd() {
		return "", errEndedBefore
	}
	r.before = s.sightings.now()
	startedAt := time.Now()
	pid, err := s.children.fork(program, argv, &syscall.ProcAttr{
		Dir: wd, Env: env,
		Files: []uintptr{files.null.Fd(), files.stdout.Fd(), files.stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: !r.request.StartTask, Setsid: r.request.StartTask, Credential: credential},
	})
	if err != nil {
		return "CommandLaunchFailed", fmt.Errorf("cannot start %s: %w", argv[0], err)
	}
	r.begin(pid, startedAt)
	return "", nil
}

// wait blocks until the main process has ended, kills whatever it left behind, and reaps it.
//
// The order matters: the zombie keeps its process and group id until it is reaped, so nobody else can have got them when
// the group is killed.
func (s *server) wait(r *run) finished {
	peek(r.pid)
	at := r.leave()
	if r.request.StartTask && r.reason() == nil && succeeded(r.pid) {
		s.daemons.keep(r)
		status, usage := s.children.reap(r.pid)
		return result(r.startedAt, at, status, usage)
	}
	_ = syscall.Kill(-r.pid, syscall.SIGKILL)
	status, usage := s.children.reap(r.pid)
	killMarked(r.cookie, func() []int { return s.sightings.since(r.before) })
	s.clear(r)
	return result(r.startedAt, at, status, usage)
}

// report keeps the result until it is acknowledged, and tells it.
func (s *server) report(r *run, done finished) {
	done.Op, done.ID, done.Label = "finished", r.request.ID, r.request.Label
	if why := r.reason(); why != nil {
		done.Cause, done.Code, done.Message = why.cause, why.code, why.message
	}
	done.Message = shorten(done.Message)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, done.ID)
	s.finished[done.ID] = done
	s.order = append(s.order, done.ID)
	s.tell(done)
	s.idle.Broadcast()
}

func result(startedAt, endedAt time.Time, status syscall.WaitStatus, usage syscall.Rusage) finished {
	began := seconds(startedAt)
	done := finished{
		Cause: causeExit, StartedAt: began, EndedAt: began + endedAt.Sub(startedAt).Seconds(), // also when the clock was set
		UserCPU: timeval(usage.Utime), KernelCPU: timeval(usage.Stime), MaxRSS: int64(usage.Maxrss) << 10,
	}
	code := status.ExitStatus()
	if status.Signaled() {
		number := int(status.Signal())
		done.Signal, code = &number, 128+number
	}
	done.ExitCode = &code
	return done
}

// shorten keeps a message small enough that many of them fit in a frame.
func shorten(text string) string {
	const longest = 1024
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}

func seconds(at time.Time) float64          { return float64(at.UnixMicro()) / 1e6 }
func timeval(value syscall.Timeval) float64 { return float64(value.Sec) + float64(value.Usec)/1e6 }

// duration turns seconds into a duration; what no duration can hold is the longest there is.
func duration(seconds float64) time.Duration {
	if seconds >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(max(seconds, 0) * float64(time.Second))
}
