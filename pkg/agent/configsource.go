package agent

import (
	"bytes"
	"fmt"
	"os"
	"sync"
)

// configSource holds the configuration in force: the last good content of a file, resolved for this node's labels.
// Safe for concurrent use.
//
// The file is read again every few seconds and compared: a ConfigMap volume changes by a swapped symlink, a file of
// a few hundred bytes in the page cache costs nothing, and a missed notification cannot happen.
type configSource struct {
	path string

	mu     sync.Mutex
	data   []byte
	read   bool
	file   *ConfigFile
	labels map[string]string
	err    error
}

// refresh reads the file and returns whether the configuration in force or its problem changed.
func (s *configSource) refresh() bool {
	data, readErr := os.ReadFile(s.path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if readErr != nil {
		// The file may come back as it was, which must clear the problem.
		s.read = false
		return s.fail(readErr)
	}
	if s.read && bytes.Equal(data, s.data) {
		return false
	}
	s.data, s.read = data, true
	file, err := ParseConfig(data)
	if err != nil {
		return s.fail(fmt.Errorf("%s: %w", s.path, err))
	}
	s.file, s.err = file, nil
	return true
}

// fail keeps the last good configuration; the caller holds mu.
func (s *configSource) fail(err error) bool {
	changed := s.err == nil || s.err.Error() != err.Error()
	s.err = err
	return changed
}

// setLabels takes the node's labels, by which overrides are chosen.
func (s *configSource) setLabels(labels map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.labels = labels
}

// current is the configuration in force; with no good file ever it is empty. The error says why the file's present
// content is not it.
func (s *configSource) current() (Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return Config{}, s.err
	}
	return s.file.ForNode(s.labels), s.err
}
