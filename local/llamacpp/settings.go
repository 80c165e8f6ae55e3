package llamacpp

import (
	"fmt"
	"strconv"

	"github.com/hybridgroup/yzma/pkg/llama"
)

// Setting is a choice that the engine makes for the user, and why.
type Setting struct {
	Name   string
	Value  string
	Reason string
}

// settings are what the engine chooses from the machine and the options.
type settings struct {
	threads int
	cores   int // that the process may use
	own     bool
	flash   llama.FlashAttentionType
	gpu     gpu
	layers  int32 // on the GPU
	widened bool  // matrices of Q5_0 are in memory as Q8_0
}

// gpu is the GPU that the engine computes on; the zero value is none.
type gpu struct {
	name string
	free uint64 // bytes
}

// allLayers is more than any model has.
const allLayers = 1 << 20

// choose settles what a model is run with. Whether it fits onto the GPU is for
// the caller to say.
func (e *Engine) choose(opts Options, fits func(gpu) bool) settings {
	s := settings{threads: opts.Threads, cores: physicalCores(), own: opts.Threads > 0, flash: llama.FlashAttentionTypeAuto}
	if !s.own {
		s.threads = s.cores
	}
	if opts.exact {
		s.flash = llama.FlashAttentionTypeDisabled
	}
	if s.gpu = findGPU(); s.gpu.name != "" && fits(s.gpu) {
		s.layers = allLayers
	}
	return s
}

// findGPU returns the first GPU that the engine has a backend for.
func findGPU() gpu {
	for _, kind := range []llama.GGMLBackendDeviceType{llama.GGMLBackendDeviceTypeGPU, llama.GGMLBackendDeviceTypeIGPU} {
		if d := llama.GGMLBackendDeviceByType(kind); d != 0 {
			free, _ := llama.GGMLBackendDeviceMemory(d)
			return gpu{name: llama.GGMLBackendDeviceName(d), free: free}
		}
	}
	return gpu{}
}

// Settings says what the engine chooses on this machine for a model with these
// options, whatever the model: see Model.Settings for the rest.
func (e *Engine) Settings(opts Options) []Setting {
	return e.choose(opts, func(gpu) bool { return true }).list(opts)
}

func (s settings) list(opts Options) []Setting {
	threads := Setting{"threads", strconv.Itoa(s.threads),
		fmt.Sprintf("%d physical cores; fewer while other programs use them, since the engine's threads wait by spinning", s.cores)}
	if s.own {
		threads.Reason = "as asked for; fewer while other programs use the cores"
	}
	flash := Setting{"flash attention", "auto", "the engine uses it where the device has it"}
	if s.flash == llama.FlashAttentionTypeDisabled {
		flash = Setting{"flash attention", "off", "results do not depend on how requests are batched"}
	}
	lim, _ := opts.limits(0)
	return []Setting{
		threads,
		{"batch", strconv.Itoa(lim.rows), "tokens of one decode; more would make running answers wait longer for a new prompt"},
		{"answers at once", strconv.Itoa(lim.outputs), "decoded together for little more than the price of one"},
		{"queue", strconv.Itoa(lim.queue), "requests that may wait; one more is refused"},
		flash,
		{"KV cache", "f16", "the engine's default: 8-bit would save half of its memory and change answers"},
		s.layersSetting(),
		s.pagesSetting(),
	}
}

func (s settings) pagesSetting() Setting {
	if !hugePages || s.layers > 0 {
		return Setting{"weights", "mapped", "read from the file's own pages"}
	}
	if s.widened {
		return Setting{"weights", "copied, Q5_0 as Q8_0", "into huge pages where the kernel has them; Q8_0 holds the same numbers and reads prompts faster"}
	}
	return Setting{"weights", "copied", "into huge pages where the kernel has them: a quarter more tokens per second than from the file's pages"}
}

func (s settings) layersSetting() Setting {
	switch {
	case s.gpu.name == "":
		return Setting{"GPU layers", "0", "the engine found no GPU that it has a backend for"}
	case s.layers == 0:
		return Setting{"GPU layers", "0", "the model does not fit into the free memory of " + s.gpu.name}
	}
	return Setting{"GPU layers", "all", s.gpu.name + " computes them"}
}

// Settings says what this model runs with, and why: what the machine decided
// (see Engine.Settings), and what the model did.
func (m *Model) Settings() []Setting {
	lim, cells := m.opts.limits(m.contextSize)
	list := append(m.settings.list(m.opts),
		Setting{"context", strconv.Itoa(m.contextSize), "tokens of one conversation"},
		Setting{"KV cells", strconv.Itoa(cells), fmt.Sprintf("room for a conversation, or for %d cached prompts and %d answers", lim.cached, lim.outputs)},
	)
	if m.need.sum() > 0 {
		list = append(list, Setting{"memory", readable(m.need.sum()),
			fmt.Sprintf("estimated: %s of weights, shared with other adapters of the model, and %s of its own",
				readable(m.need.weights), readable(m.need.context+m.need.adapter))})
	}
	return list
}

// readable writes a number of bytes for people.
func readable(n uint64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.0f GB", float64(n)/1e9)
	}
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}
