package models

import "retort/models/gguf"

// fileTypes names the values of general.file_type, as llama.cpp numbers them.
// Numbers that are missing were withdrawn.
var fileTypes = map[uint64]string{
	0: "F32", 1: "F16", 32: "BF16",
	2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
	10: "Q2_K", 21: "Q2_K_S", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
	14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
	24: "IQ1_S", 31: "IQ1_M", 19: "IQ2_XXS", 20: "IQ2_XS", 28: "IQ2_S", 29: "IQ2_M",
	23: "IQ3_XXS", 22: "IQ3_XS", 26: "IQ3_S", 27: "IQ3_M", 25: "IQ4_NL", 30: "IQ4_XS",
	36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0",
}

// quantization returns the name of f's quantization, or, where the file does
// not say, the type that takes most of its bytes.
func quantization(f *gguf.File) string {
	if n, ok := f.Uint("general.file_type"); ok && fileTypes[n] != "" {
		return fileTypes[n]
	}
	var most gguf.Type
	bytes := map[gguf.Type]int64{}
	for _, t := range f.Tensors {
		bytes[t.Type] += t.Size
		if bytes[t.Type] > bytes[most] {
			most = t.Type
		}
	}
	return most.String()
}
