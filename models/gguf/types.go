package gguf

import "fmt"

// Type is how the elements of a tensor are stored, as numbered by ggml.
type Type uint32

// The types whose elements Floats can read.
const (
	F32  Type = 0
	F16  Type = 1
	BF16 Type = 30
)

// Types of blocks of 32 elements: a scale in F16, and 5 or 8 bits for each.
const (
	Q5_0 Type = 6
	Q8_0 Type = 8
)

// types holds, for each type, the elements of a block and the bytes they take.
// Numbers that are missing were withdrawn by ggml.
var types = map[Type]struct {
	name         string
	block, bytes uint64
}{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2}, 28: {"F64", 1, 8},
	24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8},

	2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20}, 6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24},
	8: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},

	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144},
	13: {"Q5_K", 256, 176}, 14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292},

	16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74}, 18: {"IQ3_XXS", 256, 98},
	19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 29: {"IQ1_M", 256, 56},

	34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17},
	40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18}, 42: {"Q2_0", 64, 18},
}

// String returns ggml's name of the type, in capitals.
func (t Type) String() string {
	if e, ok := types[t]; ok {
		return e.name
	}
	return fmt.Sprintf("type(%d)", uint32(t))
}

// block returns the elements of a block and the bytes they take; 0 for an
// unknown type.
func (t Type) block() (elements, bytes uint64) {
	e := types[t]
	return e.block, e.bytes
}
