package llamacpp

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/hybridgroup/yzma/pkg/download"
	"github.com/hybridgroup/yzma/pkg/loader"
	"github.com/jupiterrider/ffi"
)

// ErrNoLibrary means that a folder holds no libllama that this machine can
// use. It is found with errors.Is in what Find returns.
var ErrNoLibrary = errors.New("no usable engine library")

// Library is an engine that was found on disk.
type Library struct {
	Dir     string // the folder that holds it, and its backends
	Path    string // the libllama file in Dir
	Version string // llama.cpp's own, such as "v0.4.0"; "unknown" where nothing tells
	Origin  string // who made the build, such as "@node-llama-cpp/linux-x64@3.21.1"
}

// libraryParts are the libraries that the engine is loaded from, in order.
var libraryParts = []string{"ggml", "ggml-base", "llama"}

// Find returns the engine of the first folder that holds a usable one. It
// reads headers alone: nothing is loaded (see Probe) and no connection is
// made. Where no folder will do, the error wraps ErrNoLibrary and says of each
// what is wrong with it.
func Find(dirs ...string) (Library, error) {
	if len(dirs) == 0 {
		return Library{}, fmt.Errorf("find engine: no folder named: %w", ErrNoLibrary)
	}
	var problems []error
	for _, dir := range dirs {
		lib, err := inspectDir(dir)
		if err == nil {
			return lib, nil
		}
		problems = append(problems, fmt.Errorf("find engine in %q: %w", dir, err))
	}
	return Library{}, &notFoundError{problems}
}

// notFoundError lists in one line why each folder was passed over.
type notFoundError struct{ problems []error }

func (e *notFoundError) Error() string {
	text := ""
	for i, p := range e.problems {
		if i > 0 {
			text += "; "
		}
		text += p.Error()
	}
	return text
}

func (e *notFoundError) Unwrap() error { return ErrNoLibrary }

// Probe loads the engine and lets it go again, which is the only way to learn
// that it needs a newer C library than this machine has.
func Probe(dir string) error {
	for _, name := range libraryParts {
		lib, err := ffi.Load(loader.GetLibraryFilename(dir, name))
		if err != nil {
			return fmt.Errorf("load engine %q: %w", dir, err)
		}
		defer lib.Close()
	}
	return nil
}

func inspectDir(dir string) (Library, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Library{}, err
	}
	for _, name := range libraryParts {
		path := loader.GetLibraryFilename(dir, name)
		if err := checkLibraryFile(path); err != nil {
			return Library{}, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	path := loader.GetLibraryFilename(dir, "llama")
	version, origin := provenance(dir, path)
	return Library{Dir: dir, Path: path, Version: version, Origin: origin}, nil
}

// checkLibraryFile tells whether path is a whole shared library for this machine.
func checkLibraryFile(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("not there")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a file")
	}
	machine, end, err := readLibraryHeader(f)
	if err != nil {
		return fmt.Errorf("damaged: %v", err)
	}
	if machine != runtime.GOARCH {
		return fmt.Errorf("built for %s, this machine is %s", machine, runtime.GOARCH)
	}
	if end > info.Size() {
		return fmt.Errorf("damaged: %d bytes of %d", info.Size(), end)
	}
	return nil
}

// readLibraryHeader returns the Go name of the machine a library was built for and
// the offset at which its last piece ends.
func readLibraryHeader(f io.ReaderAt) (machine string, end int64, err error) {
	switch runtime.GOOS {
	case "darwin":
		return readMachO(f)
	case "windows":
		return readPE(f)
	}
	return readELF(f)
}

func readELF(r io.ReaderAt) (string, int64, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return "", 0, err
	}
	var end int64
	for _, p := range f.Progs {
		end = max(end, int64(p.Off+p.Filesz))
	}
	names := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_ARM: "arm"}
	return goName(names, f.Machine), end, nil
}

func readMachO(r io.ReaderAt) (string, int64, error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return "", 0, err
	}
	var end int64
	for _, load := range f.Loads {
		if s, ok := load.(*macho.Segment); ok {
			end = max(end, int64(s.Offset+s.Filesz))
		}
	}
	names := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}
	return goName(names, f.Cpu), end, nil
}

func readPE(r io.ReaderAt) (string, int64, error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return "", 0, err
	}
	var end int64
	for _, s := range f.Sections {
		end = max(end, int64(s.Offset)+int64(s.Size))
	}
	names := map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}
	return goName(names, f.Machine), end, nil
}

func goName[M comparable](names map[M]string, m M) string {
	if name, ok := names[m]; ok {
		return name
	}
	return fmt.Sprintf("another machine (%v)", m)
}

var versionInName = regexp.MustCompile(`v\d+\.\d+\.\d+`)

// provenance reads what the folder says of itself: the record of an official
// download, else the package description that came with the files, else the
// version in the name of the file.
func provenance(dir, path string) (version, origin string) {
	version, origin = "unknown", "found in "+dir
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if v := versionInName.FindString(filepath.Base(real)); v != "" {
			version = v
		}
	}
	if record, err := download.ReadInstallRecord(dir); err == nil && record.Tag != "" {
		return record.Tag, "official build"
	}
	var pkg struct{ Name, Version string }
	if readJSONFile(filepath.Join(dir, "package.json"), &pkg) == nil && pkg.Name != "" {
		origin = pkg.Name + "@" + pkg.Version
	}
	var build struct {
		BuildOptions struct{ LlamaCpp struct{ Release string } }
	}
	if readJSONFile(filepath.Join(dir, "_nlcBuildMetadata.json"), &build) == nil && build.BuildOptions.LlamaCpp.Release != "" {
		version = build.BuildOptions.LlamaCpp.Release
	}
	return version, origin
}

func readJSONFile(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
