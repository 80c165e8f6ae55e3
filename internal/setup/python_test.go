package setup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testPython(t *testing.T) *python {
	t.Helper()
	return newPython(Options{Home: t.TempDir(), Env: os.Environ(), Lock: []byte("torch==1 --hash=sha256:0\n")})
}

func TestPython_sources(t *testing.T) {
	for _, c := range []struct {
		name  string
		tools []string
		fail  string
		want  []string
	}{
		{"uv on PATH", []string{"python3", "uv"}, "", []string{"uv-venv", "uv-sync", "python-import"}},
		{"uv by pip", []string{"python3"}, "", []string{"pip-uv", "uv-version", "uv-venv", "uv-sync", "python-import"}},
		{"pip", []string{"python3"}, "fail-pip-uv", []string{"pip-uv", "python-venv", "pip-install", "python-import"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.tools...)
			if c.fail != "" {
				w.set(t, c.fail, "no wheel")
			}
			y := testPython(t)
			if err := install(t, y.Home, y); err != nil {
				t.Fatal(err)
			}
			if got := w.calls(t); !slices.Equal(got, c.want) {
				t.Errorf("calls %q, want %q", got, c.want)
			}
			s := y.Status(t.Context())
			if !s.OK || s.Version != "Python 3.11.7" || s.Path != PythonPath(y.Home) || !strings.Contains(s.Origin, y.lockDigest()[:12]) {
				t.Errorf("status %+v", s)
			}
			w.calls(t)
			if err := install(t, y.Home, y); err != nil {
				t.Fatal(err)
			}
			if got := w.calls(t); !slices.Equal(got, []string{"python-version"}) {
				t.Errorf("second run: calls %q", got)
			}
		})
	}
}

func TestPython_uvOfOursIsKept(t *testing.T) {
	w := newWorld(t, "python3")
	y := testPython(t)
	w.set(t, "fail-uv-sync", "error: no route")
	wantError(t, install(t, y.Home, y), "goes on where it stopped", "make python environment", "no route")
	if s := y.Status(t.Context()); s.OK || s.Problem != "unfinished" {
		t.Errorf("status of half an environment: %+v", s)
	}
	w.calls(t)
	w.unset(t, "fail-uv-sync")
	if err := install(t, y.Home, y); err != nil {
		t.Fatal(err)
	}
	if got := w.calls(t); slices.Contains(got, "pip-uv") {
		t.Errorf("second run: calls %q, uv was fetched again", got)
	}
}

func TestPython_status(t *testing.T) {
	w := newWorld(t, "python3", "uv")
	y := testPython(t)
	if s := y.Status(t.Context()); s.OK || s.Problem != "missing" {
		t.Errorf("before: %+v", s)
	}
	if err := install(t, y.Home, y); err != nil {
		t.Fatal(err)
	}
	y.Lock = []byte("torch==2")
	if s := y.Status(t.Context()); s.OK || !strings.Contains(s.Problem, "another list") {
		t.Errorf("with another lock: %+v", s)
	}
	if err := install(t, y.Home, y); err != nil || !y.Status(t.Context()).OK {
		t.Errorf("made anew: %v, %+v", err, y.Status(t.Context()))
	}
	w.set(t, "fail-python-version", "error: libpython is gone")
	if s := y.Status(t.Context()); s.OK || !strings.Contains(s.Problem, "libpython is gone") {
		t.Errorf("broken: %+v", s)
	}
}

func TestPython_faults(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*testing.T, world, *python)
		words  []string
		hint   string
	}{
		{"named one is not there", func(_ *testing.T, _ world, y *python) { y.Python = "/none/python" }, []string{"/none/python is not installed"}, "RETORT_PYTHON"},
		{"import fails", func(t *testing.T, w world, _ *python) {
			w.set(t, "fail-python-import", "Traceback\nImportError: libcuda.so is missing\n")
		}, []string{"ImportError: libcuda.so"}, ""},
		{"disk full", func(t *testing.T, w world, _ *python) {
			w.set(t, "fail-uv-sync", "error: failed to write\n  Caused by: No space left on device (os error 28)")
		}, nil, "free some space"},
		{"neither uv nor venv", func(t *testing.T, w world, _ *python) {
			os.Remove(filepath.Join(os.Getenv("PATH"), "uv"))
			w.set(t, "fail-pip-uv", "ERROR: No module named pip")
			w.set(t, "fail-python-venv", "The virtual environment was not created because ensurepip is not available.\n\n    apt install python3.11-venv\n\nFailing command: x")
		}, []string{"uv: python3", "No module named pip", "pip: python3", "ensurepip"}, "python3-venv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "python3", "uv")
			y := testPython(t)
			c.change(t, w, y)
			wantError(t, install(t, y.Home, y), c.hint, append(c.words, "make python environment")...)
			if s := y.Status(t.Context()); s.OK {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestPython_offline(t *testing.T) {
	w := newWorld(t, "python3", "uv")
	y := testPython(t)
	y.Offline = true
	wantError(t, install(t, y.Home, y), "without --offline", "requirements.lock")
	if calls := w.calls(t); len(calls) != 0 {
		t.Errorf("calls %q", calls)
	}
}

func TestFindPython_firstNewEnough(t *testing.T) {
	w := newWorld(t, "python3")
	other := world(t.TempDir())
	bin := t.TempDir()
	if err := other.install(bin, "python"); err != nil {
		t.Fatal(err)
	}
	other.set(t, "python-version", "3.12.1")
	w.set(t, "python-version", "3.10.0")
	t.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+bin)
	got, err := findPython(t.Context(), Options{Env: os.Environ()})
	if err != nil || got.version != "3.12.1" || got.path != filepath.Join(bin, "python") {
		t.Errorf("%+v, %v; want the one of 3.12.1", got, err)
	}
}

// TestFindPython_relative holds that a path means what it means where the user is, and
// not in the folder that programs are run in.
func TestFindPython_relative(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := w.install(dir, "python"); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	got, err := findPython(t.Context(), Options{Home: t.TempDir(), Env: os.Environ(), Python: "./python"})
	if err != nil || got.version != "3.11.7" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNewEnough(t *testing.T) {
	for version, want := range map[string]bool{
		"3.11.0": true, "3.13.2": true, "3.10.9": false, "2.7.18": false, "4.0.0": false, "": false, "3.x.1": false, "3.11": false,
	} {
		if got := newEnough(version); got != want {
			t.Errorf("newEnough(%q) = %v", version, got)
		}
	}
}
