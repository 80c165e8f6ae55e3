package llamacpp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"retort/models/gguf"
)

// The engine's own limits. It ends the process where a model is beyond them.
const (
	maxLayers  = 512
	maxExperts = 512
)

// checkModel looks for what is wrong with the model file at path before the C
// loader sees it: in its structure, and in the numbers that the engine asserts
// instead of checking.
func checkModel(path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := checkNumbers(f); err != nil {
		return fmt.Errorf("gguf %q: %w", path, err)
	}
	return nil
}

func checkNumbers(f *gguf.File) error {
	arch, _ := f.String("general.architecture")
	if n, ok := f.Uint(arch + ".block_count"); ok && (n < 1 || n > maxLayers) {
		return fmt.Errorf("%d layers, want 1 to %d", n, maxLayers)
	}
	experts, _ := f.Uint(arch + ".expert_count")
	used, _ := f.Uint(arch + ".expert_used_count")
	if experts > maxExperts || used > experts || experts > 0 && used == 0 {
		return fmt.Errorf("%d of %d experts in use, want at most %d", used, experts, maxExperts)
	}
	layers, _ := f.Uint(arch + ".block_count")
	if n, _ := f.Uint(arch + ".nextn_predict_layers"); n > layers {
		return fmt.Errorf("%d of %d layers predict further tokens", n, layers)
	}
	if n, _ := f.Uint(arch + ".attention.sliding_window_pattern"); n == 1 {
		return errors.New("a sliding window in no layer at all")
	}
	if err := checkRotation(f, arch); err != nil {
		return err
	}
	for _, key := range []string{".attention.layer_norm_rms_epsilon", ".attention.layer_norm_epsilon"} {
		if eps, ok := f.Float(arch + key); ok && !(eps >= 0) {
			return fmt.Errorf("%s is %g, want 0 or more", arch+key, eps)
		}
	}
	if s, ok := f.String(arch + ".rope.scaling.type"); ok && !slices.Contains([]string{"none", "linear", "yarn", "longrope"}, s) {
		return fmt.Errorf("rope scaling %q is unknown", s)
	}
	if err := checkHeads(f, arch); err != nil {
		return err
	}
	if err := checkQueries(f, arch); err != nil {
		return err
	}
	if err := checkTypes(f); err != nil {
		return err
	}
	return checkVocabulary(f)
}

// checkRotation refuses a rotation of positions that is wider than a head, of an
// odd width, or of none, over which the engine never ends.
func checkRotation(f *gguf.File, arch string) error {
	head, ok := f.Uint(arch + ".attention.key_length")
	if heads, _ := f.Uint(arch + ".attention.head_count"); !ok && heads > 0 {
		width, _ := f.Uint(arch + ".embedding_length")
		head = width / heads
	}
	for _, key := range []string{".rope.dimension_count", ".rope.dimension_count_swa"} {
		if n, ok := f.Uint(arch + key); ok && (n == 0 || n%2 != 0 || head > 0 && n > head) {
			return fmt.Errorf("%s is %d, want an even number from 2 to %d", arch+key, n, head)
		}
	}
	return nil
}

// checkHeads refuses layers without attention heads, in the lists that give
// each layer its own number of them.
func checkHeads(f *gguf.File, arch string) error {
	for _, key := range []string{".attention.head_count", ".attention.head_count_kv"} {
		heads, _, err := f.Uints(arch + key)
		if err != nil {
			return err
		}
		if i := slices.Index(heads, 0); i >= 0 {
			return fmt.Errorf("layer %d has no attention heads (%s)", i, arch+key)
		}
	}
	return nil
}

// checkQueries refuses heads that do not fit the weights, in the architectures
// whose weights the engine's loader takes in any number of heads.
func checkQueries(f *gguf.File, arch string) error {
	if !slices.Contains([]string{"qwen2", "qwen2vl", "qwen2moe"}, arch) {
		return nil
	}
	t, there := f.Tensor("blk.0.attn_q.weight")
	heads, ok := f.Uint(arch + ".attention.head_count")
	if !there || !ok || heads == 0 || len(t.Dims) != 2 {
		return nil // the loader says so
	}
	width, ok := f.Uint(arch + ".attention.key_length")
	if embedding, _ := f.Uint(arch + ".embedding_length"); !ok {
		width = embedding / heads
	} else if width != embedding/heads {
		return fmt.Errorf("heads of %d numbers, of %d heads in %d", width, heads, embedding)
	}
	if width == 0 || t.Dims[1]%width != 0 || t.Dims[1]/width != heads {
		return fmt.Errorf("%d heads of %d numbers, the weights are for %d numbers in all", heads, width, t.Dims[1])
	}
	return nil
}

// notWeights are the types that the engine stores other things in, and cannot
// multiply with.
var notWeights = []string{"I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"}

// checkTypes refuses tensors that the engine would end the process over when it
// computes with them: numbers that are no weights, and vectors such as those of
// a norm, which it adds and multiplies, in anything but 32-bit floats.
func checkTypes(f *gguf.File) error {
	for _, t := range f.Tensors {
		if slices.Contains(notWeights, t.Type.String()) || isVector(t) && t.Type != gguf.F32 {
			return fmt.Errorf("tensor %q of %d dimensions is of type %s", t.Name, len(t.Dims), t.Type)
		}
	}
	return nil
}

// isVector reports whether t is a row of numbers, unless it is the single output
// of a classifier.
func isVector(t gguf.Tensor) bool {
	return !strings.HasPrefix(t.Name, "cls.") && !slices.ContainsFunc(t.Dims[1:], func(n uint64) bool { return n != 1 })
}

// checkVocabulary refuses a token that is there twice.
func checkVocabulary(f *gguf.File) error {
	tokens, _, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return err
	}
	seen := make(map[string]struct{}, len(tokens))
	for _, token := range tokens {
		seen[token] = struct{}{}
	}
	if len(seen) < len(tokens) {
		return fmt.Errorf("%d of %d tokens are there twice", len(tokens)-len(seen), len(tokens))
	}
	return nil
}
