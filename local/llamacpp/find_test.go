package llamacpp

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hybridgroup/yzma/pkg/loader"
)

// engineDir copies this test's own executable under the names of the engine's
// libraries: a real binary for this machine, which is all that Find asks.
func engineDir(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("an executable passes for a library on Linux alone")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range libraryParts {
		if err := os.Symlink(exe, loader.GetLibraryFilename(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFind_saysWhatIsWrong(t *testing.T) {
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	other := append([]byte(nil), exe[:1<<20]...)
	other[18], other[19] = 0xf3, 0 // e_machine: RISC-V
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "damaged"},
		{"text", []byte("not a library"), "damaged"},
		{"truncated", exe[:len(exe)/2], "damaged"},
		{"another machine", append(other, exe[1<<20:]...), "this machine is " + runtime.GOARCH},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := engineDir(t)
			replace(t, filepath.Join(dir, "libllama.so"), c.data)
			_, err := Find(dir)
			if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "libllama.so") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want ErrNoLibrary that names the file and says %q", err, c.want)
			}
		})
	}
}

func TestFind_firstUsableFolder(t *testing.T) {
	empty, good := t.TempDir(), engineDir(t)
	lib, err := Find(empty, good)
	if err != nil {
		t.Fatal(err)
	}
	if lib.Dir != good || lib.Path != filepath.Join(good, "libllama.so") {
		t.Errorf("found %+v, want the one in %s", lib, good)
	}
	_, err = Find(empty, filepath.Join(empty, "none"))
	if !errors.Is(err, ErrNoLibrary) || strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "find engine") != 2 {
		t.Errorf("error %q, want one line for two folders", err)
	}
	if _, err := Find(); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("no folder: error %v, want ErrNoLibrary", err)
	}
}

func TestFind_provenance(t *testing.T) {
	for _, c := range []struct {
		name, file, text, version, origin string
	}{
		{"package", "package.json", `{"name":"@scope/pkg","version":"1.2.3"}`, "unknown", "@scope/pkg@1.2.3"},
		{"build metadata", "_nlcBuildMetadata.json", `{"buildOptions":{"llamaCpp":{"release":"v0.4.0"}}}`, "v0.4.0", "found in"},
		{"official", "yzma-install.json", `{"version":2,"tag":"v0.4.1"}`, "v0.4.1", "official build"},
		{"damaged record", "yzma-install.json", `{`, "unknown", "found in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := engineDir(t)
			replace(t, filepath.Join(dir, c.file), []byte(c.text))
			lib, err := Find(dir)
			if err != nil || lib.Version != c.version || !strings.HasPrefix(lib.Origin, c.origin) {
				t.Errorf("%+v, %v; want version %q, origin %q", lib, err, c.version, c.origin)
			}
		})
	}
}

func TestProbe_refusesWhatDoesNotLoad(t *testing.T) {
	if err := Probe(engineDir(t)); err == nil {
		t.Error("an executable loaded as a library")
	}
}

func TestFind_realEngine(t *testing.T) {
	home := os.Getenv("RETORT_TEST_HOME")
	if home == "" {
		t.Skip("RETORT_TEST_HOME is not set: no real engine")
	}
	lib, err := Find(filepath.Join(home, "engine"))
	if err != nil {
		t.Fatal(err)
	}
	if lib.Version == "unknown" {
		t.Errorf("%+v: no version", lib)
	}
	if err := Probe(lib.Dir); err != nil {
		t.Error(err)
	}
}
