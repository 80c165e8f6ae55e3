// Package ollamatest starts a real Ollama server for tests.
package ollamatest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Server is a running Ollama.
type Server struct {
	URL    string
	Models string // its store; empty if the server was there before the test
}

// Start returns a server for the test:
//
//	RETORT_TEST_OLLAMA      the URL of one that runs already, or else
//	RETORT_TEST_OLLAMA_BIN  the program; it is started on loopback with a store of
//	                        its own and ends with the test
//
// Without either the test is skipped, as it is when it asks for settings (NAME=
// value) of a server that runs already.
func Start(t testing.TB, settings ...string) Server {
	t.Helper()
	bin := os.Getenv("RETORT_TEST_OLLAMA_BIN")
	if url := os.Getenv("RETORT_TEST_OLLAMA"); url != "" && (len(settings) == 0 || bin == "") {
		if len(settings) > 0 {
			t.Skip("needs a server of its own: RETORT_TEST_OLLAMA_BIN is not set")
		}
		return Server{URL: url}
	}
	if bin == "" {
		t.Skip("neither RETORT_TEST_OLLAMA nor RETORT_TEST_OLLAMA_BIN is set (make test-ollama sets it)")
	}
	return launch(t, bin, settings)
}

func launch(t testing.TB, bin string, settings []string) Server {
	t.Helper()
	s, stop, err := Launch(bin, t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if last := stop(); t.Failed() {
			t.Logf("the server's last words:\n%s", last)
		}
	})
	return s
}

// Launch starts the server program bin with its data below home and the given
// settings (NAME=value). stop ends it and returns the end of its log.
func Launch(bin, home string, settings ...string) (s Server, stop func() string, err error) {
	s.Models = filepath.Join(home, "models")
	cmd := exec.Command(bin, "serve")
	cmd.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "OLLAMA_HOST=127.0.0.1:0", "OLLAMA_MODELS=" + s.Models,
		"OLLAMA_NO_CLOUD=1"}, settings...)
	log, err := cmd.StderrPipe()
	if err != nil {
		return s, nil, err
	}
	if err := cmd.Start(); err != nil {
		return s, nil, err
	}
	tail := &tail{}
	addr, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		tail.read(log, addr)
	}()
	stop = func() string {
		_ = cmd.Process.Signal(os.Interrupt) // it ends the processes that hold models
		select {
		case <-drained:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-drained
		}
		_ = cmd.Wait()
		return strings.Join(tail.lines, "\n")
	}
	select {
	case a := <-addr:
		s.URL = "http://" + a
		return s, stop, nil
	case <-drained:
		return s, nil, fmt.Errorf("%s serve ended:\n%s", bin, stop())
	case <-time.After(time.Minute):
		return s, nil, fmt.Errorf("%s serve does not listen:\n%s", bin, stop())
	}
}

var listening = regexp.MustCompile(`Listening on (127\.0\.0\.1:\d+)`)

// tail keeps the last lines of a server's log. Its fields belong to read until
// that has returned.
type tail struct{ lines []string }

func (l *tail) read(r io.Reader, addr chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case addr <- m[1]:
			default:
			}
		}
		l.lines = append(l.lines[max(0, len(l.lines)-60):], lines.Text())
	}
	if err := lines.Err(); err != nil {
		l.lines = append(l.lines, fmt.Sprintf("(log cut: %v)", err))
		_, _ = io.Copy(io.Discard, r)
	}
}
