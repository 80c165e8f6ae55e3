package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The tests run this test binary in place of npm, python3 and uv: it finds
// out by its own name which of them it is to be. Each has a link "world" beside it
// to the folder that says how it behaves and where it writes down its calls.
func TestMain(m *testing.M) {
	tool := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if act, ok := map[string]func(world, []string) error{
		"npm": fakeNPM, "python3": fakePython, "python": fakePython, "uv": fakeUV, "grandchild": fakeGrandchild,
	}[tool]; ok {
		w := world(filepath.Join(filepath.Dir(os.Args[0]), "world"))
		code := 0
		if err := act(w, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		syscall.Exit(code) // os.Exit waits a second under the race detector
	}
	os.Exit(m.Run())
}

// world is the folder that the fakes share with a test.
type world string

func (w world) path(name string) string { return filepath.Join(string(w), name) }

// newWorld makes a PATH of the fakes of tools alone.
func newWorld(t *testing.T, tools ...string) world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fakes are symbolic links")
	}
	w, bin := world(t.TempDir()), t.TempDir()
	for _, tool := range tools {
		if err := w.install(bin, tool); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	return w
}

// install puts a fake program into bin.
func (w world) install(bin, tool string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(string(w))
	if err != nil {
		return err
	}
	if err := os.Symlink(real, filepath.Join(bin, "world")); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Symlink(self, filepath.Join(bin, tool))
}

// set makes the fakes fail at a step with a message, or hang at "hang-"+step.
func (w world) set(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w world) unset(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(w.path(name)); err != nil {
		t.Fatal(err)
	}
}

// calls returns the steps that the fakes were asked for, and forgets them.
func (w world) calls(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(w.path("calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	os.Remove(w.path("calls"))
	return slices.DeleteFunc(strings.Split(string(data), "\n"), func(s string) bool { return s == "" })
}

// step is the beginning of everything that a fake does.
func (w world) step(name string) error {
	f, err := os.OpenFile(w.path("calls"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(f, name)
	if err := os.WriteFile(w.path("env"), []byte(strings.Join(os.Environ(), "\n")), 0o644); err != nil {
		return err
	}
	step, _, _ := strings.Cut(name, " ")
	if _, err := os.Stat(w.path("hang-" + step)); err == nil {
		return w.hang()
	}
	if text, err := os.ReadFile(w.path("fail-" + step)); err == nil {
		return errors.New(string(text))
	}
	return nil
}

// hang starts a child of its own that also never ends, and says so.
func (w world) hang() error {
	bin := w.path("bin")
	if err := w.install(bin, "grandchild"); err != nil {
		return err
	}
	c := exec.Command(filepath.Join(bin, "grandchild"))
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return err
	}
	return errors.New("the grandchild ended by itself")
}

// fakeGrandchild stays connected to the test for as long as it lives.
func fakeGrandchild(w world, _ []string) error {
	conn, err := net.Dial("unix", w.path("life"))
	if err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // the test never writes
	return err
}

func fakeNPM(w world, args []string) error {
	if err := w.step("npm-pack " + args[1]); err != nil {
		return err
	}
	return os.CopyFS(value(args, "--pack-destination"), os.DirFS(w.path("npm")))
}

func fakePython(w world, args []string) error {
	switch {
	case args[0] == "-V":
		fmt.Println("Python 3.11.7")
		return w.step("python-version")
	case args[0] == "-c" && args[1] == checkImports:
		return w.step("python-import")
	case args[0] == "-c":
		return w.identify()
	case args[1] == "venv":
		if err := w.step("python-venv"); err != nil {
			return err
		}
		return w.install(filepath.Join(args[2], "bin"), "python")
	case args[2] == "--version":
		return w.step("pip-version")
	case args[2] == "download":
		return w.download(args)
	case value(args, "--target") != "":
		if err := w.step("pip-uv"); err != nil {
			return err
		}
		return w.install(filepath.Join(value(args, "--target"), "bin"), "uv")
	}
	return w.step("pip-install")
}

func (w world) identify() error {
	version := "3.11.7"
	if text, err := os.ReadFile(w.path("python-version")); err == nil {
		version = string(text)
	}
	fmt.Printf("%s\n%s\n", version, os.Args[0])
	return nil
}

func (w world) download(args []string) error {
	wanted := args[len(args)-1]
	if err := w.step("pip-download " + wanted); err != nil {
		return err
	}
	wheel := strings.Replace(wanted, "==", "-", 1) + ".whl"
	data, err := os.ReadFile(w.path(wheel))
	if err != nil {
		return fmt.Errorf("ERROR: No matching distribution found for %s", wanted)
	}
	return os.WriteFile(filepath.Join(value(args, "--dest"), wheel), data, 0o644)
}

func fakeUV(w world, args []string) error {
	switch args[0] {
	case "venv":
		if err := w.step("uv-venv"); err != nil {
			return err
		}
		return w.install(filepath.Join(args[len(args)-1], "bin"), "python")
	case "pip":
		return w.step("uv-sync")
	case "tool":
		return w.download(args)
	}
	return w.step("uv-version")
}

// value returns the argument after name.
func value(args []string, name string) string {
	if i := slices.Index(args, name); i >= 0 {
		return args[i+1]
	}
	return ""
}

// fakeEngine is an Engine whose library is a file that says "lib".
type fakeEngine struct {
	download func(ctx context.Context, dir string) error
	probe    func(dir string) error
}

func (e *fakeEngine) Find(dir string) (Library, error) {
	path := filepath.Join(dir, "libllama.so")
	if data, err := os.ReadFile(path); err != nil || string(data) != "lib" {
		return Library{}, fmt.Errorf("find engine in %q: libllama.so: not there", dir)
	}
	return Library{Path: path, Version: "v1", Origin: "test"}, nil
}

func (e *fakeEngine) Probe(dir string) error {
	if e.probe == nil {
		return nil
	}
	return e.probe(dir)
}

func (e *fakeEngine) Download(ctx context.Context, dir string, _ func(done, total int64)) error {
	if e.download == nil {
		return errors.New("download engine: the official builds cannot be reached")
	}
	return e.download(ctx, dir)
}

// onNote is a Progress that acts on each note.
type onNote func(line string)

func (onNote) Start(string, int64) {}
func (onNote) Add(int64)           {}
func (f onNote) Note(line string)  { f(line) }
func (onNote) Done()               {}
