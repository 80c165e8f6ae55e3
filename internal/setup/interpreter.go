package setup

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// interpreter is a Python that was found to run.
type interpreter struct {
	path    string // the program itself, not a launcher that may change its mind
	version string // such as "3.11.7"
}

// minPython is the oldest minor version of Python 3 that will do.
const minPython = 11

var pythonNames = []string{"python3", "python3.13", "python3.12", "python3.11", "python"}

// findPython returns the interpreter that the user named, or else the first on
// PATH that is new enough.
func findPython(ctx context.Context, o Options) (interpreter, error) {
	names := pythonNames
	if o.Python != "" {
		names = []string{o.Python}
	}
	var tried []string
	for _, name := range names {
		found, err := tryPython(ctx, name, o)
		if err == nil {
			return found, nil
		}
		if ctx.Err() != nil {
			return interpreter{}, ctx.Err()
		}
		var missing *missingToolError
		if !errors.As(err, &missing) || o.Python != "" {
			tried = append(tried, err.Error())
		}
	}
	if len(tried) == 0 {
		return interpreter{}, errPython
	}
	return interpreter{}, fmt.Errorf("%w: %s", errPython, strings.Join(tried, "; "))
}

func tryPython(ctx context.Context, name string, o Options) (interpreter, error) {
	const ask = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)"
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := command{args: []string{name, "-c", ask}, dir: o.Home, env: o.Env}.run(ctx, Silent{})
	if err != nil {
		return interpreter{}, err
	}
	version, path, _ := strings.Cut(strings.TrimSpace(out), "\n")
	version, path = strings.TrimSpace(version), strings.TrimSpace(path)
	if path == "" || !newEnough(version) {
		return interpreter{}, fmt.Errorf("%s is version %q", name, plain(version))
	}
	return interpreter{path: path, version: version}, nil
}

func newEnough(version string) bool {
	parts := strings.Split(version, ".")
	if len(parts) != 3 || parts[0] != "3" {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	return err == nil && minor >= minPython
}
