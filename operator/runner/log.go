package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// log writes one structured line; the runner logs little, and nothing for a task.
func log(message string, pairs ...any) {
	line := map[string]any{"message": message, "time": time.Now().UTC().Format(time.RFC3339Nano)}
	for i := 0; i+1 < len(pairs); i += 2 {
		line[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	text, _ := json.Marshal(line)
	fmt.Fprintln(os.Stderr, string(text))
}

// say logs why this program cannot go on, and returns its exit code.
func say(message string, err error) int {
	log(message, "error", err.Error())
	return 1
}
