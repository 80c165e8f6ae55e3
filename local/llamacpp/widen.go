package llamacpp

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"retort/models/gguf"
)

// Bytes of a block of 32 numbers.
const (
	q5Block = 2 + 4 + 16
	q8Block = 2 + 32
)

// piece is how many bytes of a file are copied at once; of Q5_0, whole blocks.
const piece = q5Block << 15

// wider returns the type that t has after widening.
func wider(t gguf.Tensor) gguf.Type {
	if t.Type == gguf.Q5_0 && len(t.Dims) > 1 {
		return gguf.Q8_0
	}
	return t.Type
}

// maxWidening is the part of a file by which its weights may grow. All of them are
// read for each token that is decoded, so decoding gets slower as they grow, and
// reading prompts is faster by a tenth at best.
const maxWidening = 1. / 8

// growth returns how many bytes more the weights of f take when they are
// widened; 0 if there is nothing to widen, or too much.
func growth(f *gguf.File) uint64 {
	if parts, _ := f.Uint("split.count"); parts > 1 {
		return 0
	}
	sum := uint64(0)
	for _, t := range f.Tensors {
		if wider(t) != t.Type {
			sum += uint64(t.Size) / q5Block * (q8Block - q5Block)
		}
	}
	if float64(sum) > maxWidening*float64(f.Size()) {
		return 0
	}
	return sum
}

// part is a piece of a tensor's data, and where it goes.
type part struct {
	from   gguf.Tensor
	at     int64 // in the tensor
	size   int
	to     int64 // in the copy
	widens bool
}

// parts cuts the data of all tensors into pieces.
func parts(from, to []gguf.Tensor) []part {
	var all []part
	for i, t := range from {
		p := part{from: t, to: to[i].Offset, widens: t.Type != to[i].Type}
		for ; p.at < t.Size; p.at += piece {
			p.size = int(min(piece, t.Size-p.at))
			all = append(all, p)
			p.to += p.widened()
		}
	}
	return all
}

// widened returns the size of p in the copy.
func (p part) widened() int64 {
	if p.widens {
		return int64(p.size / q5Block * q8Block)
	}
	return int64(p.size)
}

// copyWidened copies parts of f to out, with all processors, unless stop says so.
func copyWidened(out *os.File, f *gguf.File, all []part, stop *atomic.Bool) error {
	var next atomic.Int64
	var g errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			buf, wide := make([]byte, piece), make([]byte, piece/q5Block*q8Block)
			for i := next.Add(1) - 1; i < int64(len(all)) && !stop.Load(); i = next.Add(1) - 1 {
				p := all[i]
				data := buf[:p.size]
				if _, err := f.Data(p.from).ReadAt(data, p.at); err != nil {
					return err
				}
				if p.widens {
					widen(wide, data)
					data = wide[:p.widened()]
				}
				if _, err := out.WriteAt(data, p.to); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// signs holds, for each eight bits, the upper halves of eight bytes that extend
// the sign of numbers whose fifth bits these are: a set bit means 0 to 15, and
// none -16 to -1.
var signs = func() (table [256]uint64) {
	for bits := range table {
		for i := range 8 {
			if bits>>i&1 == 0 {
				table[bits] |= 0xf0 << (8 * i)
			}
		}
	}
	return table
}()

// widen writes the Q5_0 blocks of in as Q8_0 blocks to out: the scale, and then
// each number in a byte. In Q5_0 the lower four bits of the first 16 numbers are
// the lower halves of 16 bytes, those of the others the upper halves.
func widen(out, in []byte) {
	const low = 0x0f0f0f0f0f0f0f0f
	le := binary.LittleEndian
	for ; len(in) >= q5Block; in, out = in[q5Block:], out[q8Block:] {
		o := out[:q8Block]
		o[0], o[1] = in[0], in[1]
		fifth := le.Uint32(in[2:])
		a, b := le.Uint64(in[6:]), le.Uint64(in[14:])
		le.PutUint64(o[2:], a&low|signs[fifth&0xff])
		le.PutUint64(o[10:], b&low|signs[fifth>>8&0xff])
		le.PutUint64(o[18:], a>>4&low|signs[fifth>>16&0xff])
		le.PutUint64(o[26:], b>>4&low|signs[fifth>>24])
	}
}
