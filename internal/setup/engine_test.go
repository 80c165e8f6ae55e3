package setup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is one entry of a test's archive.
type entry struct {
	name string
	data string
	kind byte // a file where it is zero
}

// goodPackage is what npm delivers, in small.
var goodPackage = []entry{
	{name: "package/package.json", data: `{"name":"@x/y"}`},
	{name: "package/LICENSE", data: "MIT"},
	{name: "package/dist/index.js", data: "js"},
	{name: "package/bins/here", kind: tar.TypeDir},
	{name: "package/bins/here/libllama.v0.4.0.so", data: "lib"},
	{name: "package/bins/here/libggml.metal.v0.4.0.dylib", data: "ggml"},
	{name: "package/bins/here/llama-addon.node", data: "node"},
}

func tgz(t testing.TB, entries []entry) []byte {
	t.Helper()
	return gzipped(t, tarred(t, entries))
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data)), Typeflag: tar.TypeReg}
		if e.kind != 0 {
			h.Typeflag, h.Linkname, h.Size = e.kind, e.data, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testEngine is an engine piece in a new home, for which npm delivers archive.
func testEngine(t *testing.T, w world, archive []byte) *engine {
	t.Helper()
	if err := os.MkdirAll(w.path("npm"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.set(t, "npm/y.tgz", string(archive))
	sum := sha512.Sum512(archive)
	e := newEngine(Options{Home: t.TempDir(), Env: os.Environ(), Engine: &fakeEngine{}})
	e.npm = npmPackage{"@x/y", "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
	return e
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func install(t *testing.T, home string, piece Piece) error {
	t.Helper()
	return Install(t.Context(), home, []Piece{piece}, Silent{})
}

// wantError checks that err is one line with the words, and advice if hint.
func wantError(t *testing.T, err error, hint string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	var advice interface{ Hint() string }
	if hint != "" && (!errors.As(err, &advice) || !strings.Contains(advice.Hint(), hint)) {
		t.Errorf("error %q has no hint that says %q", err, hint)
	}
}

func TestEngine_fromNPM(t *testing.T) {
	w := newWorld(t, "npm")
	e := testEngine(t, w, tgz(t, goodPackage))
	if s := e.Status(t.Context()); s.OK || s.Problem == "" || s.Fix == "" {
		t.Errorf("status before: %+v", s)
	}
	if err := install(t, e.Home, e); err != nil {
		t.Fatal(err)
	}
	const want = "LICENSE libggml.dylib libggml.metal.v0.4.0.dylib libllama.so libllama.v0.4.0.so package.json"
	if got := tree(t, EngineDir(e.Home)); got != want {
		t.Errorf("engine holds %q, want %q", got, want)
	}
	if s := e.Status(t.Context()); !s.OK || s.Version != "v1" || s.Path != filepath.Join(EngineDir(e.Home), "libllama.so") {
		t.Errorf("status after: %+v", s)
	}
	if got := tree(t, tempRoot(e.Home)); got != "" {
		t.Errorf("left behind: %s", got)
	}
	w.calls(t)
	if err := install(t, e.Home, e); err != nil || len(w.calls(t)) != 0 {
		t.Errorf("second run: %v, calls were made", err)
	}
}

func TestEngine_officialBuildFirst(t *testing.T) {
	w := newWorld(t, "npm")
	e := testEngine(t, w, tgz(t, goodPackage))
	e.Engine = &fakeEngine{download: func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "libllama.so"), []byte("lib"), 0o644)
	}}
	if err := install(t, e.Home, e); err != nil {
		t.Fatal(err)
	}
	if calls := w.calls(t); len(calls) != 0 || tree(t, EngineDir(e.Home)) != "libllama.so" {
		t.Errorf("calls %q, files %s", calls, tree(t, EngineDir(e.Home)))
	}
}

func TestEngine_nextSourceWhereOneDoesNotLoad(t *testing.T) {
	w := newWorld(t, "npm")
	e := testEngine(t, w, tgz(t, goodPackage))
	e.Engine = &fakeEngine{
		download: func(_ context.Context, dir string) error {
			return os.WriteFile(filepath.Join(dir, "libllama.so"), []byte("lib"), 0o644)
		},
		probe: func(dir string) error {
			if tree(t, dir) == "libllama.so" {
				return errors.New("needs GLIBC_9")
			}
			return nil
		},
	}
	if err := install(t, e.Home, e); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, EngineDir(e.Home)); !strings.Contains(got, "v0.4.0") {
		t.Errorf("engine holds %q, want npm's", got)
	}
}

func TestEngine_damagedOneIsReplaced(t *testing.T) {
	w := newWorld(t, "npm")
	e := testEngine(t, w, tgz(t, goodPackage))
	if err := writeFile(filepath.Join(EngineDir(e.Home), "libllama.so"), strings.NewReader("half")); err != nil {
		t.Fatal(err)
	}
	if err := install(t, e.Home, e); err != nil {
		t.Fatal(err)
	}
	if s := e.Status(t.Context()); !s.OK {
		t.Errorf("status %+v", s)
	}
}

func TestEngine_faults(t *testing.T) {
	good := tgz(t, goodPackage)
	with := func(e entry) []byte { return tgz(t, append([]entry{e}, goodPackage...)) }
	many := make([]entry, maxEntries+1)
	for i := range many {
		many[i] = entry{name: "package/x", data: "x"}
	}
	for _, c := range []struct {
		name    string
		archive []byte
		change  func(*testing.T, world, *engine)
		words   string
		hint    string
	}{
		{"npm fails", good, func(t *testing.T, w world, _ *engine) { w.set(t, "fail-npm-pack", "npm error code ENOTFOUND\n") }, "ENOTFOUND", "network"},
		{"npm says disk full", good, func(t *testing.T, w world, _ *engine) { w.set(t, "fail-npm-pack", "npm error code ENOSPC") }, "ENOSPC", "free some space"},
		{"npm is not there", good, func(t *testing.T, _ world, _ *engine) { t.Setenv("PATH", t.TempDir()) }, "npm is not installed", "Node.js"},
		{"npm delivers nothing", good, func(t *testing.T, w world, _ *engine) { w.unset(t, "npm/y.tgz") }, "left 0 files", ""},
		{"wrong digest", good, func(_ *testing.T, _ world, e *engine) { e.npm.integrity = "sha512-other" }, "digest does not match", "run setup again"},
		{"no package for the machine", good, func(_ *testing.T, _ world, e *engine) { e.npm = npmPackage{} }, "no package for", ""},
		{"truncated", good[:len(good)-20], nil, "archive refused", ""},
		{"no archive", []byte("<html>"), nil, "archive refused", ""},
		{"leads outside", with(entry{name: "package/../../evil", data: "x"}), nil, "leads outside", ""},
		{"absolute", with(entry{name: "/tmp/evil", data: "x"}), nil, "leads outside", ""},
		{"symbolic link", with(entry{name: "package/bins/here/l", data: "/etc", kind: tar.TypeSymlink}), nil, "neither file nor folder", ""},
		{"hard link", with(entry{name: "package/bins/here/l", data: "/etc/passwd", kind: tar.TypeLink}), nil, "neither file nor folder", ""},
		{"device", with(entry{name: "package/bins/here/l", kind: tar.TypeBlock}), nil, "neither file nor folder", ""},
		{"many files", tgz(t, many), nil, "unpacks to too much", ""},
		{"no library in it", tgz(t, goodPackage[:3]), nil, "libllama.so: not there", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "npm")
			e := testEngine(t, w, c.archive)
			if c.change != nil {
				c.change(t, w, e)
			}
			err := install(t, e.Home, e)
			wantError(t, err, c.hint, "get engine", "official build: ", "npm", c.words)
			if _, err := os.Lstat(EngineDir(e.Home)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a folder engine is there: %v", err)
			}
			if got := tree(t, tempRoot(e.Home)); got != "" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

func TestUnpackEngine_bomb(t *testing.T) {
	archive := tgz(t, []entry{{name: "package/bins/here/libllama.v1.0.0.so", data: strings.Repeat("0", 1<<20)}})
	dir := t.TempDir()
	if err := unpackEngine(t.Context(), bytes.NewReader(archive), dir, 1<<20-1); !errors.Is(err, errArchive) {
		t.Errorf("error %v, want errArchive", err)
	}
	if got := tree(t, dir); got != "" {
		t.Errorf("unpacked %s", got)
	}
}

func FuzzUnpackEngine(f *testing.F) {
	f.Add(tarred(f, goodPackage)) // the fuzzer works on the tar, inside the gzip
	f.Add(tarred(f, []entry{{name: "package/bins/../../../evil", data: "x"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = unpackEngine(t.Context(), bytes.NewReader(gzipped(t, data)), dir, 1<<16)
		if got := tree(t, parent); got != "in" {
			t.Errorf("written outside: %s", got)
		}
	})
}

func TestEngine_namedByTheUser(t *testing.T) {
	newWorld(t)
	dir := t.TempDir()
	e := newEngine(Options{Home: t.TempDir(), Engine: &fakeEngine{}, EngineDir: dir})
	err := install(t, e.Home, e)
	wantError(t, err, "RETORT_ENGINE_DIR", dir, "not there")
	if got := tree(t, dir); got != "" {
		t.Errorf("the user's folder was written to: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "libllama.so"), []byte("lib"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := e.Status(t.Context()); !s.OK {
		t.Errorf("status %+v", s)
	}
	if err := install(t, e.Home, e); err != nil {
		t.Error(err)
	}
}

func TestEngine_offline(t *testing.T) {
	w := newWorld(t, "npm")
	e := testEngine(t, w, tgz(t, goodPackage))
	e.Offline = true
	e.Engine = &fakeEngine{download: func(context.Context, string) error { t.Error("download was tried"); return nil }}
	err := install(t, e.Home, e)
	wantError(t, err, "without --offline", "@x/y "+npmVersion)
	if calls := w.calls(t); !errors.Is(err, ErrOffline) || len(calls) != 0 {
		t.Errorf("error %v, calls %q", err, calls)
	}
}

func TestNPMPackages_arePinned(t *testing.T) {
	for target, pkg := range npmPackages {
		sum, ok := strings.CutPrefix(pkg.integrity, "sha512-")
		raw, err := base64.StdEncoding.DecodeString(sum)
		if !ok || err != nil || len(raw) != sha512.Size || !strings.HasPrefix(pkg.name, "@node-llama-cpp/") {
			t.Errorf("%s: %+v is not pinned", target, pkg)
		}
	}
}
