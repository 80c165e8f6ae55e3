package llamacpp

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"testing"
)

// fakeDevice is a device whose model is a hash of the tokens before: a wrong
// token anywhere in a sequence changes every answer after it. It fails the test
// when a row does not continue its sequence.
type fakeDevice struct {
	t     *testing.T
	cells int // capacity
	seqs  map[int][]*int32
	out   map[int][]float32

	rows, decodes int           // decoded so far
	before        func(n int)   // called before each decode with its number
	fail          map[int]error // by number of the decode
	peak          int           // most cells in use
	saves         int
}

const fakeVocab = 40

func newFakeDevice(t *testing.T, cells int) *fakeDevice {
	return &fakeDevice{t: t, cells: cells, seqs: make(map[int][]*int32)}
}

func (d *fakeDevice) decode(rows []row, quit func() bool) error {
	d.decodes++
	if d.before != nil {
		d.before(d.decodes)
	}
	if err := d.fail[d.decodes]; err != nil {
		return err
	}
	if quit() {
		return errAborted
	}
	if d.used()+len(rows) > d.cells {
		return errNoRoom
	}
	d.out = make(map[int][]float32)
	for i, r := range rows {
		if r.pos != len(d.seqs[r.seq]) {
			d.t.Errorf("row at position %d of sequence %d, which has %d tokens", r.pos, r.seq, len(d.seqs[r.seq]))
		}
		d.seqs[r.seq] = append(d.seqs[r.seq], &r.token)
		if r.want {
			var tokens []int32
			for _, c := range d.seqs[r.seq] {
				tokens = append(tokens, *c)
			}
			d.out[i] = fakeLogits(tokens)
		}
	}
	d.rows += len(rows)
	d.peak = max(d.peak, d.used())
	return nil
}

func (d *fakeDevice) logits(i int) []float32 { return d.out[i] }

func (d *fakeDevice) share(src, dst, from, to int) {
	if from == to {
		return
	}
	if from != len(d.seqs[dst]) || to > len(d.seqs[src]) {
		d.t.Errorf("share [%d,%d) of sequence %d (%d tokens) with %d (%d tokens)",
			from, to, src, len(d.seqs[src]), dst, len(d.seqs[dst]))
		return
	}
	d.seqs[dst] = append(d.seqs[dst], d.seqs[src][from:to]...)
}

func (d *fakeDevice) truncate(seq, n int) {
	if n > len(d.seqs[seq]) {
		d.t.Errorf("truncate sequence %d to %d tokens, it has %d", seq, n, len(d.seqs[seq]))
		return
	}
	d.seqs[seq] = d.seqs[seq][:n:n]
}

func (d *fakeDevice) save(seq, n, spare int) [][]byte {
	d.saves++
	d.checkEmpty(spare)
	if len(d.seqs[seq]) != n {
		d.t.Errorf("save %d tokens of sequence %d, which has %d", n, seq, len(d.seqs[seq]))
	}
	var saved []byte
	for _, c := range d.seqs[seq] {
		saved = binary.LittleEndian.AppendUint32(saved, uint32(*c))
	}
	return [][]byte{saved}
}

func (d *fakeDevice) restore(seq, n, spare int, saved [][]byte) bool {
	d.checkEmpty(seq)
	d.checkEmpty(spare)
	if d.used()+n > d.cells {
		return false
	}
	for i := range n {
		d.seqs[seq] = append(d.seqs[seq], new(int32(binary.LittleEndian.Uint32(saved[0][4*i:]))))
	}
	d.peak = max(d.peak, d.used())
	return true
}

func (d *fakeDevice) checkEmpty(seq int) {
	if n := len(d.seqs[seq]); n > 0 {
		d.t.Errorf("sequence %d has %d tokens, want none", seq, n)
	}
}

// used counts the cells that some sequence holds.
func (d *fakeDevice) used() int {
	held := make(map[*int32]bool)
	for _, s := range d.seqs {
		for _, c := range s {
			held[c] = true
		}
	}
	return len(held)
}

// fakeLogits is the fake model.
func fakeLogits(tokens []int32) []float32 {
	h := fnv.New64a()
	fmt.Fprint(h, tokens)
	x := h.Sum64()
	out := make([]float32, fakeVocab)
	for i := range out {
		x = x*6364136223846793005 + 1442695040888963407
		out[i] = float32(x>>40) / (1 << 21)
	}
	return out
}

// fakeWords writes token 7 as "[7]". Token 0 ends an answer.
type fakeWords struct{}

func (fakeWords) piece(token int32) string    { return fmt.Sprintf("[%d]", token) }
func (fakeWords) endsAnswer(token int32) bool { return token == 0 }
