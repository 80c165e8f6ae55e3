package llamacpp

import (
	"fmt"
	"slices"

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
	if experts > maxExperts || used > experts {
		return fmt.Errorf("%d of %d experts in use, want at most %d", used, experts, maxExperts)
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
	return checkVocabulary(f)
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
