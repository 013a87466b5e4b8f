package main

import (
	"bufio"
	"net"
	"sync"
	"syscall"
	"time"
)

// connection writes messages to an agent, in order, and flushes when none is waiting.
type connection struct {
	socket *net.UnixConn
	queue  chan any
	done   chan struct{} // closed: write what is queued and end
	once   sync.Once
	ended  chan struct{} // closed: nothing is written any more
}

func newConnection(socket *net.UnixConn) *connection {
	c := &connection{socket: socket, queue: make(chan any, 4096), done: make(chan struct{}), ended: make(chan struct{})}
	go c.write()
	return c
}

// send queues a message; an agent that does not read for long loses its connection, not its messages.
func (c *connection) send(message any) {
	select {
	case <-c.done:
	case c.queue <- message:
	default:
		c.hangUp()
	}
}

// close writes what is queued, then hangs up; an agent that does not read is not waited for.
func (c *connection) close() {
	c.once.Do(func() { close(c.done) })
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
	}
	c.socket.Close()
}

// hangUp drops what is queued: whatever matters is told again to the next agent.
func (c *connection) hangUp() {
	c.once.Do(func() { close(c.done) })
	c.socket.Close()
}

func (c *connection) write() {
	defer close(c.ended)
	defer c.socket.Close()
	out := bufio.NewWriterSize(c.socket, 32<<10)
	for {
		select {
		case message := <-c.queue:
			if !c.put(out, message) {
				return
			}
		case <-c.done:
			for len(c.queue) > 0 {
				if !c.put(out, <-c.queue) {
					return
				}
			}
			_ = out.Flush()
			return
		}
	}
}

func (c *connection) put(out *bufio.Writer, message any) bool {
	if err := writeFrame(out, message); err != nil {
		log("lost the agent's connection", "error", err.Error())
		return false
	}
	return len(c.queue) > 0 || out.Flush() == nil
}

// peerUID is the user of the process at the other end, as the kernel knows it.
func peerUID(socket *net.UnixConn) (int, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	uid := -1
	var failed error
	err = raw.Control(func(fd uintptr) {
		credentials, e := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if e != nil {
			failed = e
			return
		}
		uid = int(credentials.Uid)
	})
	if err == nil {
		err = failed
	}
	return uid, err
}
