// Package scripts holds the Python side of training: what a run directory
// receives and the packages it was written for. Call [Files] for the former and
// [Requirements] for the latter; [Peers] are what the example store is measured
// against. The scripts say themselves how to run them by hand; what they read and
// write is described in job.py and run.py.
package scripts

import (
	"embed"
	"io/fs"
)

// Entry is the script of a run, called with the name of its job file and, to go
// on from a checkpoint, with --resume.
const Entry = "run.py"

//go:embed run.sh run.py job.py examples.py manifest.py unpack.py configuration.py sft.py batches.py completion.py reporting.py checkpoints.py adapter.py requirements.lock
var files embed.FS

//go:embed bench_sqlite.py bench_datasketch.py
var peers embed.FS

//go:embed requirements.lock
var requirements []byte

// Files returns everything a run directory needs apart from its job and data.
// No file has its mode: run.sh is meant to be executable.
func Files() fs.FS { return files }

// Requirements returns requirements.lock: every package with its version and
// digests, as pip and uv read it.
func Requirements() []byte { return requirements }

// Peers returns the scripts that do a store's work by other means, bench_sqlite.py
// and bench_datasketch.py.
func Peers() fs.FS { return peers }
