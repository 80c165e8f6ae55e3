package trainer

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// passed are the names that a training process may inherit: where programs,
// libraries and devices are, and the language. Everything else stays here, keys
// and tokens above all.
var passed = []string{
	"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
	"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
	"CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
}

// childEnv returns the environment of the training process: what it may have of
// env, and what keeps it offline, inside tmp, and at its number of threads.
func childEnv(env []string, tmp string, job Job) []string {
	threads := strconv.Itoa(job.Threads)
	out := map[string]string{
		"HOME": tmp, "TMPDIR": tmp, "HF_HOME": tmp,
		"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
		"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "disabled",
		"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads,
		"TOKENIZERS_PARALLELISM": "false",
		"PYTHONUNBUFFERED":       "1", "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1",
	}
	for _, pair := range env {
		if name, value, ok := strings.Cut(pair, "="); ok && slices.Contains(passed, name) {
			out[name] = value
		}
	}
	pairs := make([]string, 0, len(out))
	for _, name := range slices.Sorted(maps.Keys(out)) {
		pairs = append(pairs, name+"="+out[name])
	}
	return pairs
}
