package models

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"retort/models/gguf"
)

// blockBytes is how much of a tensor each worker holds in memory.
const blockBytes = 4 << 20

// patcher adds a LoRA to the 32-bit tensors of a GGUF, in place.
type patcher struct {
	lora     lora
	adapter  *gguf.File
	scale    float64       // on top of alpha/rank
	packed   bool          // the result is stored in the base's own types
	progress func(n int64) // hears of n more bytes that are done
}

// bytes returns how many bytes of weights there are to patch.
func (p patcher) bytes() int64 {
	var n int64
	for _, pair := range p.lora.pairs {
		n += 4 * pair.target.Elements()
	}
	return n
}

// patch changes the GGUF at path.
func (p patcher) patch(ctx context.Context, path string) error {
	header, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer header.Close()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(p.patchAll(ctx, header, f), f.Close())
}

func (p patcher) patchAll(ctx context.Context, header *gguf.File, f *os.File) error {
	for _, pair := range p.lora.pairs {
		t, ok := header.Tensor(pair.target.Name)
		if !ok || t.Type != gguf.F32 || !slices.Equal(t.Dims, pair.target.Dims) {
			return fmt.Errorf("unpacked base: tensor %q is not F32 of shape %d", pair.target.Name, pair.target.Dims)
		}
		d, err := p.delta(pair)
		if err != nil {
			return err
		}
		if err := d.addTo(ctx, f, t); err != nil {
			return fmt.Errorf("patch tensor %q: %w", t.Name, err)
		}
		p.progress(t.Size)
	}
	return nil
}

// delta is what is added to one tensor: the product of up, which has rank
// elements for each row of the tensor, and of down, which has rank rows.
type delta struct {
	up, down []float32
	rank     int
	coarse   bool // the sum is stored on the coarse grid that the weights are on
}

func (p patcher) delta(pair loraPair) (delta, error) {
	up, down, err := pair.matrices(p.adapter)
	if err != nil {
		return delta{}, err
	}
	factor := float32(p.scale * p.lora.factor(pair))
	for i := range up {
		up[i] *= factor
	}
	return delta{up: up, down: down, rank: pair.rank, coarse: p.packed && slices.Contains(coarseTypes, pair.target.Type.String())}, nil
}

// addTo adds d to the tensor t of f, blocks of rows on all cores.
func (d delta) addTo(ctx context.Context, f *os.File, t gguf.Tensor) error {
	rows, width := int(t.Dims[1]), int(t.Dims[0])
	block := max(1, blockBytes/(4*width))
	g, group := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for first := 0; first < rows && group.Err() == nil; first += block {
		g.Go(func() error {
			buf := make([]byte, 4*width*min(block, rows-first))
			at := t.Offset + 4*int64(width)*int64(first)
			if _, err := f.ReadAt(buf, at); err != nil {
				return err
			}
			d.addRows(buf, first, width)
			_, err := f.WriteAt(buf, at)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// addRows adds d to the rows in buf, of width elements each, the first of
// which is the row numbered first.
func (d delta) addRows(buf []byte, first, width int) {
	row, before := make([]float32, width), make([]float32, width)
	for o := 0; 4*width*o < len(buf); o++ {
		raw := buf[4*width*o : 4*width*(o+1)]
		for i := range row {
			row[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		copy(before, row)
		for k, c := range d.up[(first+o)*d.rank:][:d.rank] {
			down := d.down[k*width:][:width]
			for i := range row {
				row[i] += c * down[i]
			}
		}
		if d.coarse {
			toGrid(row, before, rand.New(rand.NewPCG(uint64(first+o), uint64(width))))
		}
		for i, v := range row {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
		}
	}
}
