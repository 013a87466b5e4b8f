package main

// The protocol between the agent and the runner, over a Unix stream socket. This file is its reference.
//
// A frame is a 4-byte big-endian length and a JSON object of at most maxFrame bytes. The agent connects and sends hello;
// the runner answers hello (or refused), then everything is asynchronous. One agent at a time: a newer connection
// replaces the older. Runs go on without an agent; finished runs are kept until acknowledged and sent again with each
// hello: what does not fit goes before it, in known messages. A run with an id that is known, also as acknowledged, starts
// nothing; unknown answers a kill, or such a run, of an id that does not run here and will not. Times are Unix seconds, durations seconds.
//
// A run that awaits files has its directories at once, and its process when the agent says begin: until then put brings files
// into its working directory. It is told as started before, with pid 0, since bringing them is part of it. With the next hello
// of an agent it ends: nobody knows any more what was to be brought.
//
// agent -> runner    hello, deadline, run, put, begin, fail, kill, ack, read, list, usage, remove, exit, restart
// runner -> agent    known, hello, refused, started, finished, unknown, memory, data, entries, usage, done, error, bye, stopping

const (
	protocolVersion = 4
	maxFrame        = 1 << 20
	maxRead         = 64 << 10

	// Chosen so that the largest hello, with 256 runs, fits in a frame.
	maxID          = 128 // bytes in a frame
	maxLabel       = 260
	maxToldEnv     = 256 << 10
	finishedAtOnce = 50   // results in one message
	ackedAtOnce    = 2000 // ids in one message
	maxEntries     = 4096 // of a directory
	entrySize      = 120  // of an entry in a frame, beside its name
)

// request is any message of the agent; op says which fields count.
type request struct {
	Op      string `json:"op"`
	Version int    `json:"version"` // hello

	ID             string   `json:"id"`             // run, put, begin, fail, kill: the execution id
	Label          string   `json:"label"`          // run: given back in started and finished
	Dir            string   `json:"dir"`            // run: the task's directory, relative to the root
	Argv           []string `json:"argv"`           // run
	Env            []string `json:"env"`            // run: NAME=value, over the container's environment
	Fresh          bool     `json:"fresh"`          // run: empty wd and tmp first
	WallClock      float64  `json:"wallClock"`      // run: 0 = no limit
	KillGrace      float64  `json:"killGrace"`      // run: between SIGTERM and SIGKILL
	MaxOutputBytes int64    `json:"maxOutputBytes"` // run: of stdout.txt and stderr.txt together, 0 = no limit
	Log            string   `json:"log"`            // run: failed, all: its output also goes into the container's log; "" = no
	LogName        string   `json:"logName"`        // run: what stands before each line there
	Elevated       bool     `json:"elevated"`       // run: with this process's rights, where others are given the tasks' user
	StartTask      bool     `json:"startTask"`      // run: needs nobody's word, and what it leaves running stays when it succeeds

	Awaits  bool   `json:"awaits"`  // run: until begin or fail
	Data    []byte `json:"data"`    // put: base64 in JSON; the file is path, relative to wd, from offset on
	Mode    uint32 `json:"mode"`    // put, the last: permissions
	Last    bool   `json:"last"`    // put: the file is whole with this
	Failure string `json:"failure"` // fail: a code
	Text    string `json:"text"`    // fail: a sentence

	At float64 `json:"at"` // deadline: CLOCK_BOOTTIME in seconds; runs start and go on only until then

	Grace float64  `json:"grace"` // kill
	IDs   []string `json:"ids"`   // ack

	Req    int64  `json:"req"`    // put, read, list, usage, remove, restart: given back in the answer
	Path   string `json:"path"`   // read, list, remove: relative to the root
	Offset int64  `json:"offset"` // read: negative counts from the end; put: 0 begins the file anew
	Limit  int    `json:"limit"`  // read: at most maxRead

	Code int `json:"code"` // exit (only in mode start-task)

	Dry  bool   `json:"dry"`  // restart: only say whether it would
	Boot string `json:"boot"` // restart (only in mode serve, when nothing runs): the boot id that is to end
}

type helloReply struct {
	Op       string     `json:"op"`
	Version  int        `json:"version"`
	BootID   string     `json:"bootId"` // new for each runner process
	Mode     string     `json:"mode"`
	Env      []string   `json:"env"` // the container's own, without BATCHPOOLS_*; at most maxToldEnv bytes
	Running  []started  `json:"running"`
	Finished []finished `json:"finished"`
	Acked    []string   `json:"acked"`    // acknowledged in the last 10 minutes
	Deadline float64    `json:"deadline"` // until when this node is vouched for, 0 = it is not
}

// known is a part of what hello tells, sent before it.
type known struct {
	Op       string     `json:"op"`
	Finished []finished `json:"finished"`
	Acked    []string   `json:"acked"`
}

// started also stands in hello, there with pid and startedAt 0 while a run is being launched. It comes twice of a run that awaits files.
type started struct {
	Op        string  `json:"op"`
	ID        string  `json:"id"`
	Label     string  `json:"label"`
	Pid       int     `json:"pid"`
	StartedAt float64 `json:"startedAt"`
}

// Why a run ended.
const (
	causeExit         = "exit"
	causeKilled       = "killed"
	causeWallClock    = "wallClock"
	causeStopping     = "stopping"
	causeLaunchFailed = "launchFailed"
	causeOutputLimit  = "outputLimit"
	causeOutOfMemory  = "outOfMemory" // the container's memory was nearly full, and this run had the most of it
	causeDiskFull     = "diskFull"    // the node's disk was nearly full, and this run's directory held the most of it
	causeBootLost     = "bootLost"    // the agent began anew while it was bringing files
	causeExpired      = "expired"     // the deadline passed, or there was none when the run was asked for
)

type finished struct {
	Op        string  `json:"op"`
	ID        string  `json:"id"`
	Label     string  `json:"label"`
	Cause     string  `json:"cause"`
	ExitCode  *int    `json:"exitCode"` // 128+signal when a signal ended it; null when nothing ran
	Signal    *int    `json:"signal"`
	StartedAt float64 `json:"startedAt"`
	EndedAt   float64 `json:"endedAt"`
	UserCPU   float64 `json:"userCpu"`
	KernelCPU float64 `json:"kernelCpu"`
	MaxRSS    int64   `json:"maxRss"` // bytes
	Code      string  `json:"code"`   // CommandProgramNotFound, CommandLaunchFailed, ResourceDirectoryCreateFailed, DiskFull, OutOfMemory, TaskEnded
	Message   string  `json:"message"`
}

// memory is told while more than half of the container's memory is in use: the largest run. An empty id: there is enough again.
type memory struct {
	Op    string `json:"op"`
	ID    string `json:"id"`
	Bytes int64  `json:"bytes"` // the run's
	Used  int64  `json:"used"`  // the container's, without what the kernel can take back
	Limit int64  `json:"limit"`
}

// note is any small answer: refused, unknown, done, error, bye, stopping.
//
// Codes of error: NotFound, NotRegular, Escapes, InUse (remove: a run is live there), Failed (of files); NotAwaiting
// and codes of failures (put); Refused (exit, restart), BadRequest, Unknown (op).
type note struct {
	Op      string `json:"op"`
	ID      string `json:"id,omitempty"`
	Req     int64  `json:"req,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

type data struct {
	Op     string `json:"op"`
	Req    int64  `json:"req"`
	Data   []byte `json:"data"` // base64 in JSON
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
}

// usage is what the container has used so far; -1 = it cannot be told. Agents make samples of two of them.
type usage struct {
	Op         string  `json:"op"`
	Req        int64   `json:"req"`
	CPU        float64 `json:"cpu"`    // seconds of CPU time
	Cores      float64 `json:"cores"`  // that it may use
	Memory     int64   `json:"memory"` // bytes, without what the kernel can take back
	Disk       int64   `json:"disk"`   // bytes on the disk that the node's directory lies on, or in it when it has a limit
	ReadBytes  int64   `json:"readBytes"`
	WriteBytes int64   `json:"writeBytes"`
	ReadOps    int64   `json:"readOps"`
	WriteOps   int64   `json:"writeOps"`
	NetworkIn  int64   `json:"networkIn"` // bytes of the whole pod
	NetworkOut int64   `json:"networkOut"`
}

type entry struct {
	Name       string  `json:"name"`
	Dir        bool    `json:"dir"`
	Size       int64   `json:"size"`
	ModifiedAt float64 `json:"modifiedAt"`
}

type entries struct {
	Op      string  `json:"op"`
	Req     int64   `json:"req"`
	Entries []entry `json:"entries"`
	More    bool    `json:"more"` // there are entries that are not told
}
