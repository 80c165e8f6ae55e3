package dataset

import (
	"os"
	"path/filepath"
	"sync"

	"retort/internal/files"
)

// tallyFile is a record (record.go) of the tally as it was at the last clean
// Close, with the number of the store's last change. It is no part of the seal:
// where it does not fit the store, the examples are counted anew.
const tallyFile = "tally"

var tallyKey = []byte(tallyFile)

// sums holds the tally of a store, once it is known.
type sums struct {
	mu    sync.Mutex
	tally *tally // nil: not counted yet
}

// stats returns the sums, if they are known.
func (s *sums) stats() (Stats, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally == nil {
		return Stats{}, false
	}
	return s.tally.stats(), true
}

func (s *sums) set(t *tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally = t
}

// change takes in what was committed.
func (s *sums) change(added, removed []Example) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally == nil {
		return
	}
	for _, ex := range removed {
		s.tally.remove(ex)
	}
	for _, ex := range added {
		s.tally.add(ex)
	}
}

// load reads the tally of the store in dir, if it is the one of that state.
func (s *sums) load(dir string, st state) {
	if st.Positions == 0 {
		s.set(newTally())
		return
	}
	t, change, err := readTally(dir)
	if err == nil && change == st.Changes {
		s.set(t)
	}
}

func readTally(dir string) (*tally, uint64, error) {
	raw, err := os.ReadFile(filepath.Join(dir, tallyFile))
	if err != nil {
		return nil, 0, err
	}
	change, payload, err := decodeRecord(tallyKey, raw)
	if err != nil {
		return nil, 0, err
	}
	t, err := decodeTally(payload)
	return t, change, err
}

// save writes the tally for a store in that state.
func (s *sums) save(dir string, st state) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally == nil {
		return nil
	}
	payload, err := s.tally.encode()
	if err != nil {
		return err
	}
	return files.Write(filepath.Join(dir, tallyFile), encodeRecord(tallyKey, st.Changes, payload))
}
