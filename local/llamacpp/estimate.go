package llamacpp

import (
	"fmt"

	parser "github.com/gpustack/gguf-parser-go"

	"retort/models/gguf"
)

// need is what a model takes of a device's memory, in bytes.
type need struct {
	weights uint64 // and what is made of the vocabulary; once for all Models of a file
	context uint64 // KV cache and buffers of one Model
	adapter uint64
	growth  uint64 // what weights is more once they are widened; not part of the sum
}

// widened is n with weights that are widened.
func (n need) widened() need {
	n.weights, n.growth = n.weights+n.growth, 0
	return n
}

// widening is what a Model adds while the weights of a file of that size are
// widened: the copy of the file, too.
func (n need) widening(file uint64) uint64 { return n.widened().sum() + file + n.growth }

func (n need) sum() uint64 { return n.weights + n.context + n.adapter }

// beside is what a Model adds, to those of the same file if it is shared.
func (n need) beside(shared bool) uint64 {
	if shared {
		return n.context + n.adapter
	}
	return n.sum()
}

// estimate works out, without loading it, what the model at path takes of the
// processor's memory and of the GPU's when all layers are there.
func estimate(path string, opts Options, onGPU bool) (host, gpu need, err error) {
	defer func() { // the parser's way to refuse numbers that make no sense
		if r := recover(); r != nil {
			err = fmt.Errorf("estimate memory: %v", r)
		}
	}()
	f, err := parser.ParseGGUFFile(path, parser.SkipLargeMetadata(), parser.UseMMap())
	if err != nil {
		return need{}, need{}, fmt.Errorf("estimate memory: %w", err)
	}
	meta, err := gguf.Open(path)
	if err != nil {
		return need{}, need{}, err
	}
	defer meta.Close()
	arch, _ := meta.String("general.architecture")
	trained, _ := meta.Uint(arch + ".context_length")
	context, err := contextSize(opts.ContextSize, int(trained))
	if err != nil {
		return need{}, need{}, err
	}
	lim, cells := opts.limits(context)
	layers := uint64(0)
	if onGPU {
		layers = allLayers
	}
	run := f.EstimateLLaMACppRun(
		parser.WithLLaMACppContextSize(int32(cells)),
		parser.WithLLaMACppLogicalBatchSize(int32(lim.rows)),
		parser.WithLLaMACppPhysicalBatchSize(int32(lim.rows)),
		parser.WithLLaMACppFullSizeSWACache(),
		parser.WithFlashAttention(),
		parser.WithLLaMACppOffloadLayers(layers),
	)
	vocabulary, _ := meta.Len("tokenizer.ggml.tokens")
	logits := uint64(lim.seqs+lim.cached) * uint64(vocabulary) * 4
	host, gpu = split(run, uint64(meta.Size()), logits, onGPU)
	if !onGPU {
		host.context += uint64(run.Devices[0].KVCache.Sum()) * uint64(lim.shelf) / uint64(cells)
		host.growth = growth(meta)
	}
	for _, a := range opts.Adapters {
		file, err := gguf.Open(a.Path)
		if err != nil {
			return need{}, need{}, err
		}
		host.adapter += uint64(file.Size())
		_ = file.Close()
	}
	return host, gpu, nil
}

// split sorts what the parser says by device and by what is shared. It reckons
// with logits for every token of a batch, where the engine makes room for those
// of its sequences; and it counts an output matrix that is the input's twice.
func split(run parser.LLaMACppRunEstimate, fileSize, logits uint64, onGPU bool) (host, gpu need) {
	sort := func(d parser.LLaMACppRunDeviceUsage, logits uint64) need {
		c := d.Computation
		return need{
			weights: min(uint64(d.Weight.Sum()), fileSize) + uint64(d.Footprint),
			context: uint64(d.KVCache.Sum()+c.Footprint+c.Input+c.Compute) + logits,
		}
	}
	if !onGPU {
		return sort(run.Devices[0], 2*logits), need{} // in the graph, and as its result
	}
	return sort(run.Devices[0], logits), sort(run.Devices[1], logits)
}
