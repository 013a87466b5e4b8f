package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// readFrame reads one request; an error means that the connection is of no more use.
func readFrame(from *bufio.Reader) (request, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return request{}, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > maxFrame {
		return request{}, fmt.Errorf("frame of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(from, body); err != nil {
		return request{}, err
	}
	var message request
	if err := json.Unmarshal(body, &message); err != nil {
		return request{}, fmt.Errorf("frame is not a message: %w", err)
	}
	return message, nil
}

// writeFrame encodes one message behind its length.
func writeFrame(to *bufio.Writer, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("message of %d bytes", len(body))
	}
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(body)))
	if _, err := to.Write(head[:]); err != nil {
		return err
	}
	_, err = to.Write(body)
	return err
}
