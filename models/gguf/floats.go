package gguf

import (
	"encoding/binary"
	"io"
	"math"
)

// Floats reads t, whose type must be F32, F16 or BF16, into memory: 4 bytes
// for each element.
func (f *File) Floats(t Tensor) ([]float32, error) {
	if t.Type != F32 && t.Type != F16 && t.Type != BF16 {
		return nil, faultf(ErrMalformed, "gguf: tensor %q is of type %s, not F32, F16 or BF16", t.Name, t.Type)
	}
	raw := make([]byte, t.Size)
	if _, err := io.ReadFull(f.Data(t), raw); err != nil {
		return nil, within(err, "gguf: read tensor %q", t.Name)
	}
	out := make([]float32, t.Elements())
	for i := range out {
		switch t.Type {
		case F32:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		case F16:
			out[i] = fromF16(binary.LittleEndian.Uint16(raw[2*i:]))
		case BF16:
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	}
	return out, nil
}

// fromF16 widens an IEEE half: 1 bit sign, 5 bits exponent, 10 bits fraction.
func fromF16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction * 2^-24, exact in a float32
		v := math.Ldexp(float64(fraction), -24)
		return math.Float32frombits(sign | math.Float32bits(float32(v)))
	case 0x1f: // infinity or not a number
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
