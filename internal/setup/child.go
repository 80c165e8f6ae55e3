package setup

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// command is a program to run on the user's behalf.
type command struct {
	args []string
	dir  string   // working folder, so that no project's settings are picked up
	env  []string // already reduced by childEnv
}

// run runs c to its end, shows each of its lines as a note, and returns what
// it printed on stdout. Cancelling ctx kills it and all that it has started.
func (c command) run(ctx context.Context, p Progress) (string, error) {
	path, err := exec.LookPath(c.args[0])
	if err != nil {
		return "", &missingToolError{c.args[0]}
	}
	if path, err = filepath.Abs(path); err != nil { // c.dir is another folder than ours
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, c.env
	cmd.WaitDelay = 5 * time.Second
	ownGroup(cmd)
	said := &transcript{note: p.Note}
	faults := &stream{to: said}
	cmd.Stdout, cmd.Stderr = &stream{to: said, keep: true}, faults
	err = cmd.Run()
	faults.Write([]byte("\n")) // its last line may have no end
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", &childError{tool: filepath.Base(c.args[0]), cause: err, said: said.reason(), diskFull: said.diskFull}
	}
	return said.kept.String(), nil
}

// childError is a program that ended badly.
type childError struct {
	tool     string
	cause    error
	said     string
	diskFull bool
}

func (e *childError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("%s: %v", e.tool, e.cause)
	}
	return fmt.Sprintf("%s: %v: %s", e.tool, e.cause, e.said)
}

// Unwrap returns why the program ended, such as an *exec.ExitError.
func (e *childError) Unwrap() error { return e.cause }

// Bounds, in bytes, of what is kept of a child's words.
const (
	maxLine = 400
	maxKept = 64 << 10
)

// noEnsurePip is how Debian's Python says that its venv module is incomplete.
const noEnsurePip = "ensurepip is not"

// transcript passes each line of a child on, one at a time, and remembers
// what may explain a failure.
type transcript struct {
	note func(string)

	mu       sync.Mutex
	kept     bytes.Buffer // the beginning of what was said on stdout
	last     string       // the last line that is not empty
	fault    string       // the last line that calls itself an error
	diskFull bool
}

// stream is one of the two outputs of a child.
type stream struct {
	to   *transcript
	keep bool
	rest []byte // a line that has not ended
}

func (s *stream) Write(b []byte) (int, error) {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	if s.keep && s.to.kept.Len() < maxKept {
		s.to.kept.Write(b)
	}
	s.rest = append(s.rest, b...)
	for {
		i := bytes.IndexAny(s.rest, "\r\n")
		if i < 0 {
			break
		}
		s.to.line(s.rest[:i])
		s.rest = s.rest[i+1:]
	}
	if len(s.rest) > maxLine {
		s.to.line(s.rest)
		s.rest = nil
	}
	return len(b), nil
}

func (t *transcript) line(b []byte) {
	line := plain(string(b[:min(len(b), maxLine)]))
	if line == "" {
		return
	}
	t.last = line
	lower := strings.ToLower(line)
	if strings.Contains(lower, "error") || strings.Contains(lower, noEnsurePip) || strings.HasPrefix(line, "×") {
		t.fault = line
	}
	for _, sign := range []string{"no space left on device", "enospc", "not enough space on the disk"} {
		t.diskFull = t.diskFull || strings.Contains(lower, sign)
	}
	t.note(line)
}

// reason is the line that best explains a failure.
func (t *transcript) reason() string {
	if t.fault != "" {
		return t.fault
	}
	return t.last
}

// plain drops what would disturb a terminal.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s))
}

// childEnv keeps what package clients need: where things are, how to reach
// the network, and their own settings. Keys of model providers and the like
// stay with us.
func childEnv(env []string) []string {
	var kept []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if allowedVar(name) {
			kept = append(kept, kv)
		}
	}
	return kept
}

var allowedVars = strings.Fields(`
	PATH HOME USER LOGNAME SHELL LANG TZ TMPDIR TMP TEMP LD_LIBRARY_PATH
	HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
	SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS
	SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES`)

var allowedPrefixes = []string{"LC_", "XDG_", "PIP_", "UV_", "NPM_CONFIG_", "PYENV_", "NVM_", "ASDF_", "MISE_"}

func allowedVar(name string) bool {
	name = strings.ToUpper(name) // proxies and npm's settings come in both cases
	for _, v := range allowedVars {
		if name == v {
			return true
		}
	}
	for _, p := range allowedPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// onPath tells whether a program is there to be run.
func onPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// exe returns the file name of a program.
func exe(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
