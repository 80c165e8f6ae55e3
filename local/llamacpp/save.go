package llamacpp

import "github.com/hybridgroup/yzma/pkg/llama"

// pieces are the ranges of n positions that are saved one by one, by where they
// begin and end. Of what a sequence holds the library saves, in the layers with
// a sliding window, what lies in the window of its last position alone. Of a
// range no longer than that it saves all.
func (d *llamaDevice) pieces(n int) [][2]int {
	most := n
	if d.window > 0 {
		most = max(1, d.window-1)
	}
	var all [][2]int
	for from := 0; from < n; from += most {
		all = append(all, [2]int{from, min(n, from+most)})
	}
	return all
}

func (d *llamaDevice) save(seq, n, spare int) [][]byte {
	var saved [][]byte
	for _, p := range d.pieces(n) {
		_ = llama.MemorySeqCp(d.mem, llama.SeqId(seq), llama.SeqId(spare), llama.Pos(p[0]), llama.Pos(p[1]))
		data := make([]byte, llama.StateSeqGetSize(d.ctx, llama.SeqId(spare)))
		got := llama.StateSeqGetData(d.ctx, data, llama.SeqId(spare))
		_, _ = llama.MemorySeqRm(d.mem, llama.SeqId(spare), -1, -1)
		if got == 0 || got != uint64(len(data)) {
			return nil
		}
		saved = append(saved, data)
	}
	return saved
}

func (d *llamaDevice) restore(seq, n, spare int, saved [][]byte) bool {
	for i, p := range d.pieces(n) {
		whole := llama.StateSeqSetData(d.ctx, saved[i], llama.SeqId(spare)) > 0 && d.spans(spare, p)
		if whole {
			d.share(spare, seq, p[0], p[1])
			if d.keeper != noSeq {
				_ = llama.MemorySeqCp(d.mem, llama.SeqId(spare), llama.SeqId(d.keeper), llama.Pos(p[0]), llama.Pos(p[1]))
			}
		}
		_, _ = llama.MemorySeqRm(d.mem, llama.SeqId(spare), -1, -1)
		if !whole {
			d.truncate(seq, 0)
			return false
		}
	}
	return true
}

// spans reports whether all layers hold those positions of seq.
func (d *llamaDevice) spans(seq int, p [2]int) bool {
	first, err := llama.MemorySeqPosMin(d.mem, llama.SeqId(seq))
	if err != nil || int(first) != p[0] {
		return false
	}
	last, err := llama.MemorySeqPosMax(d.mem, llama.SeqId(seq))
	return err == nil && int(last) == p[1]-1
}
