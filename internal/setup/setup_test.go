package setup

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"retort/internal/files"
)

func TestInstall_cancelKillsTheGroup(t *testing.T) {
	for _, c := range []struct {
		step  string
		tools []string
		piece func(*testing.T, world) (Piece, string)
	}{
		{"npm-pack", []string{"npm"}, func(t *testing.T, w world) (Piece, string) {
			e := testEngine(t, w, tgz(t, goodPackage))
			return e, e.Home
		}},
		{"pip-download", []string{"python3"}, func(t *testing.T, w world) (Piece, string) {
			s := testStarters(t, w)
			return s, s.Home
		}},
		{"uv-sync", []string{"python3", "uv"}, func(t *testing.T, _ world) (Piece, string) {
			y := testPython(t)
			return y, y.Home
		}},
	} {
		t.Run(c.step, func(t *testing.T) {
			w := newWorld(t, c.tools...)
			piece, home := c.piece(t, w)
			w.set(t, "hang-"+c.step, "")
			ctx, cancel := context.WithCancel(t.Context())
			died := w.whenGrandchildLives(t, cancel)
			if err := Install(ctx, home, []Piece{piece}, Silent{}); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
			if err := <-died; errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the grandchild outlived the set-up")
			}
			if got := tree(t, tempRoot(home)); got != "" {
				t.Errorf("left behind: %s", got)
			}
			w.unset(t, "hang-"+c.step)
			if err := install(t, home, piece); err != nil || !piece.Status(t.Context()).OK {
				t.Errorf("the next run: %v", err)
			}
		})
	}
}

// whenGrandchildLives calls do once a hanging fake has a child of its own, and
// sends how the wait for that child's death has ended.
func (w world) whenGrandchildLives(t *testing.T, do func()) <-chan error {
	life, err := net.Listen("unix", w.path("life"))
	if err != nil {
		t.Skip(err) // a temporary folder with too long a name
	}
	t.Cleanup(func() { life.Close() })
	died := make(chan error, 1)
	go func() {
		conn, err := life.Accept()
		do()
		if err == nil {
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err = conn.Read(make([]byte, 1))
		}
		died <- err
	}()
	return died
}

func TestInstall_oneAtATime(t *testing.T) {
	home := t.TempDir()
	lock, err := files.TryLock(filepath.Join(home, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, Install(t.Context(), home, nil, Silent{}), "wait", "another set-up is running")
	lock.Close()
	if err := Install(t.Context(), home, nil, Silent{}); err != nil {
		t.Error(err)
	}
}

func TestInstall_clearsWhatAKilledOneLeft(t *testing.T) {
	home := t.TempDir()
	if err := writeFile(filepath.Join(tempRoot(home), "1", "half"), strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := Install(t.Context(), home, nil, Silent{}); err != nil || tree(t, tempRoot(home)) != "" {
		t.Errorf("%v; left behind: %s", err, tree(t, tempRoot(home)))
	}
}

// failing is a piece that cannot be had.
type failing string

func (f failing) Name() string                  { return string(f) }
func (f failing) Status(context.Context) Status { return Status{Name: string(f)} }
func (f failing) Install(context.Context, Progress) error {
	return errors.Join(errors.New("no "+string(f)), errors.New("nor its like"))
}

func TestInstall_reportsEveryFailure(t *testing.T) {
	err := Install(t.Context(), t.TempDir(), []Piece{failing("a"), failing("b")}, Silent{})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 || err.Error() != "no a\nnor its like\nno b\nnor its like" {
		t.Errorf("error %q, want the four failures in one list", err)
	}
}

func TestNew_offlineSaysAllThatIsMissing(t *testing.T) {
	w := newWorld(t, "npm", "python3", "uv")
	s := testStarters(t, w)
	o := s.Options
	o.Offline, o.Engine = true, &fakeEngine{}
	err := Install(t.Context(), o.Home, New(o), Silent{})
	if !errors.Is(err, ErrOffline) {
		t.Fatalf("error %v, want ErrOffline", err)
	}
	for _, want := range []string{"get engine", "llama.cpp", "tiny 1.0, tiny-1 1.0, tiny-2 1.0", "requirements.lock"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if calls := w.calls(t); len(calls) != 0 {
		t.Errorf("calls %q", calls)
	}
}

func TestChildren_getNoKeys(t *testing.T) {
	w := newWorld(t, "npm")
	for name, value := range map[string]string{
		"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2", "AWS_SECRET_ACCESS_KEY": "sk-3", "GITHUB_TOKEN": "sk-4",
		"PIP_FIND_LINKS": "kept-1", "npm_config_cafile": "kept-2", "https_proxy": "kept-3", "SSL_CERT_FILE": "kept-4", "UV_LINK_MODE": "kept-5",
	} {
		t.Setenv(name, value)
	}
	e := testEngine(t, w, tgz(t, goodPackage))
	if err := install(t, e.Home, e); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(w.path("env"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(env), "sk-") || strings.Count(string(env), "kept-") != 5 {
		t.Errorf("a child got\n%s", env)
	}
}

func TestCommand_notesAreLinesForATerminal(t *testing.T) {
	w := newWorld(t, "npm")
	w.set(t, "fail-npm-pack", "one\r\n\x1b[31mtwo\x00\n"+strings.Repeat("x", 3*maxLine)+"\nlast error")
	var notes []string
	c := command{args: []string{"npm", "pack", "x"}, env: os.Environ()}
	_, err := c.run(t.Context(), onNote(func(line string) { notes = append(notes, line) }))
	wantError(t, err, "", "npm: exit status 1: last error")
	if len(notes) < 4 || notes[0] != "one" || notes[1] != "[31mtwo" || notes[len(notes)-1] != "last error" ||
		slices.ContainsFunc(notes, func(s string) bool { return len(s) > maxLine }) {
		t.Errorf("notes %q", notes)
	}
}

func TestDiskFull_isNamed(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "x", Err: error(errDiskFull)}
	wantError(t, problem("get", "x", unpackError(full)), "free some space", "no space left")
	// The real thing, where the system has it.
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	_, err = f.Write([]byte("x"))
	if !errors.Is(err, syscall.ENOSPC) || !isDiskFull(err) {
		t.Errorf("writing to a full disk: %v is not known as such", err)
	}
}

func TestWriteFile_leavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	err := writeFile(filepath.Join(dir, "f"), counted(canceled(t), strings.NewReader("x"), Silent{}))
	if !errors.Is(err, context.Canceled) || tree(t, dir) != "" {
		t.Errorf("error %v, files %q", err, tree(t, dir))
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
