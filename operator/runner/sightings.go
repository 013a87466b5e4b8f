package main

import "sync"

// sightings remembers which processes are here, and since which look: what was here before a run began is none of its
// processes, so the end of a run looks at what has come since, not at all that its neighbours run.
type sightings struct {
	mu    sync.Mutex
	looks uint64
	first map[listed]uint64 // of those that the last look saw, the look that saw them first
}

// now is the last look. What it or an earlier one has seen was there when this is called.
func (s *sightings) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// since looks, and lists those that neither that look nor an earlier one has seen.
func (s *sightings) since(look uint64) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	here := listProcesses()
	first, found := make(map[listed]uint64, len(here)), []int{}
	for _, one := range here {
		at, known := s.first[one]
		if !known {
			at = s.looks
		}
		first[one] = at
		if at > look {
			found = append(found, one.pid)
		}
	}
	s.first = first
	return found
}
