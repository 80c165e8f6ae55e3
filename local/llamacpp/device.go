package llamacpp

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
)

// What a device answers when it did not decode.
var (
	errNoRoom  = errors.New("no free cell in the KV cache")
	errAborted = errors.New("decoding was stopped")
)

// device is what the scheduler needs of a llama.cpp context. It is used by one
// goroutine. A sequence is a row of tokens at positions 0, 1, 2...; sequences
// may share the memory of a common beginning.
type device interface {
	// decode adds rows to their sequences. It polls quit and may give up with
	// errAborted when quit says so; with any error no row was added.
	decode(rows []row, quit func() bool) error
	// logits returns the scores after rows[i] of the last decode, one per token
	// of the vocabulary, valid until the next decode.
	logits(i int) []float32
	// share gives dst the positions from (inclusive) to to (exclusive) of src.
	share(src, dst, from, to int)
	// truncate drops the positions of seq from n on.
	truncate(seq, n int)
	// save returns a copy of the n positions that seq holds, which restore gives
	// to a sequence; nil if that cannot be had. Both need an empty sequence on
	// the way, and leave it empty.
	save(seq, n, spare int) [][]byte
	// restore gives seq, which is empty, the n positions that save returned. False
	// if that fails, for lack of room: then seq is empty still.
	restore(seq, n, spare int, saved [][]byte) bool
}

// row is one token to decode.
type row struct {
	seq   int
	pos   int
	token int32
	want  bool // its logits are needed
}

// llamaDevice is a llama.cpp context. Its sequences share one pool of cells.
type llamaDevice struct {
	ctx     llama.Context
	mem     llama.Memory
	batch   llama.Batch
	vocab   int         // tokens in the vocabulary
	window  int         // tokens of the sliding window; 0 without one
	keeper  int         // the sequence that holds every cell once more; noSeq without a sliding window
	live    map[int]int // of each other sequence, how many positions it has
	abort   *abortFlag
	pool    threadpool // attached while all of its threads compute
	compute *sync.Mutex
	crew    crew
	steady  bool // the crew stays as it is
}

func (d *llamaDevice) decode(rows []row, quit func() bool) error {
	_ = d.batch.Clear()
	for _, r := range rows {
		if err := d.batch.Add(llama.Token(r.token), llama.Pos(r.pos), []llama.SeqId{llama.SeqId(r.seq)}, r.want); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
	}
	d.compute.Lock()
	d.muster()
	d.abort.quit.Store(&quit)
	code, err := llama.Decode(d.ctx, d.batch)
	d.abort.quit.Store(nil)
	d.compute.Unlock()
	if err == nil && code == 0 {
		d.keepRows(rows)
		return nil
	}
	d.undo(rows)
	switch {
	case err != nil:
		return fmt.Errorf("decode: %w", err)
	case code == 1:
		return errNoRoom
	case code == 2:
		return errAborted
	}
	return fmt.Errorf("decode: engine error %d", code)
}

// muster sets the number of threads to what the machine has to spare.
func (d *llamaDevice) muster() {
	now := time.Now()
	if d.steady || d.crew.most == 1 || !d.crew.due(now) {
		return
	}
	u, ok := readUsage()
	if !ok {
		return
	}
	before := d.crew.threads
	d.crew.observe(now, u)
	n := d.crew.threads
	if n == before {
		return
	}
	llama.SetNThreads(d.ctx, int32(n), int32(n))
	if n == d.crew.most {
		d.pool.attach(d.ctx)
	} else if before == d.crew.most {
		d.pool.detach(d.ctx) // its threads would spin on, whether they are needed or not
	}
}

// undo drops what a decode that stopped half-way may have left.
func (d *llamaDevice) undo(rows []row) {
	first := make(map[int]int)
	for _, r := range rows {
		if p, ok := first[r.seq]; !ok || r.pos < p {
			first[r.seq] = r.pos
		}
	}
	for seq, pos := range first {
		d.truncate(seq, pos)
	}
}

func (d *llamaDevice) logits(i int) []float32 {
	l, err := llama.GetLogitsIth(d.ctx, int32(i), d.vocab)
	if err != nil {
		return nil
	}
	return l
}

func (d *llamaDevice) share(src, dst, from, to int) {
	if from < to {
		_ = llama.MemorySeqCp(d.mem, llama.SeqId(src), llama.SeqId(dst), llama.Pos(from), llama.Pos(to))
		d.live[dst] = to
	}
}

func (d *llamaDevice) truncate(seq, n int) {
	_, _ = llama.MemorySeqRm(d.mem, llama.SeqId(seq), llama.Pos(n), -1)
	if d.live[seq] > n {
		d.live[seq] = n
		d.keepAll()
	}
}

func (d *llamaDevice) close() {
	_ = llama.BatchFree(d.batch)
	_ = llama.Free(d.ctx)
	d.abort.release()
}

// abortFlag lets Go stop a decode that is under way. The library polls it
// between the operations of its graph.
type abortFlag struct {
	id   uintptr
	quit atomic.Pointer[func() bool]
}

// aborts finds the flag that a poll is about. C may hold no Go pointer, so it
// holds a number.
var aborts struct {
	sync.RWMutex
	flags []*abortFlag
}

func newAbortFlag() *abortFlag {
	aborts.Lock()
	defer aborts.Unlock()
	i := slices.Index(aborts.flags, nil)
	if i < 0 {
		i = len(aborts.flags)
		aborts.flags = append(aborts.flags, nil)
	}
	f := &abortFlag{id: uintptr(i)}
	aborts.flags[i] = f
	return f
}

func (f *abortFlag) release() {
	aborts.Lock()
	defer aborts.Unlock()
	aborts.flags[f.id] = nil
}

// abortCallback is the C function behind every abortFlag.
var abortCallback = sync.OnceValue(func() uintptr {
	return purego.NewCallback(func(id uintptr) uintptr {
		aborts.RLock()
		f := aborts.flags[id]
		aborts.RUnlock()
		if f == nil {
			return 0
		}
		if quit := f.quit.Load(); quit != nil && (*quit)() {
			return 1
		}
		return 0
	})
})

// keepRows gives the keeper what was decoded just now.
//
// In the layers with a sliding window the library takes a cell for free as soon
// as it lies behind the window of the one sequence that holds it, even where it
// is told to keep the whole cache. A later request that goes back there would
// attend to what has taken its place. A cell that two sequences hold is safe.
func (d *llamaDevice) keepRows(rows []row) {
	first := make(map[int]int)
	for _, r := range rows {
		if p, ok := first[r.seq]; !ok || r.pos < p {
			first[r.seq] = r.pos
		}
		d.live[r.seq] = max(d.live[r.seq], r.pos+1)
	}
	if d.keeper == noSeq {
		return
	}
	for seq, pos := range first {
		_ = llama.MemorySeqCp(d.mem, llama.SeqId(seq), llama.SeqId(d.keeper), llama.Pos(pos), -1)
	}
}

// keepAll makes the keeper hold what other sequences hold, and nothing else.
func (d *llamaDevice) keepAll() {
	if d.keeper == noSeq {
		return
	}
	_, _ = llama.MemorySeqRm(d.mem, llama.SeqId(d.keeper), 0, -1)
	for seq, n := range d.live {
		if n > 0 {
			_ = llama.MemorySeqCp(d.mem, llama.SeqId(seq), llama.SeqId(d.keeper), 0, -1)
		}
	}
}

// newDevice makes a context of m with that many cells of KV cache.
func (e *Engine) newDevice(m *Model, lim limits, cells int) (*llamaDevice, error) {
	d := &llamaDevice{vocab: m.vocab.size, keeper: noSeq, live: make(map[int]int), abort: newAbortFlag(), compute: &e.compute}
	threads := m.settings.threads
	d.crew = crew{cores: runtime.NumCPU(), most: threads, threads: threads}
	d.steady = m.opts.Steady
	p := llama.ContextDefaultParams()
	p.NCtx = uint32(cells)
	p.NBatch, p.NUbatch = uint32(lim.rows), uint32(lim.rows)
	p.NSeqMax = uint32(lim.seqs + lim.cached)
	if d.window = int(llama.ModelNSWA(m.handle)); d.window > 0 {
		d.keeper = int(p.NSeqMax)
		p.NSeqMax++
	}
	p.NOutputsMax = max(uint32(lim.outputs), p.NSeqMax) // the engine aborts on fewer; memory is taken for those in use alone
	p.NThreads, p.NThreadsBatch = int32(threads), int32(threads)
	// With a sliding window the engine drops what lies behind it, unless it is
	// told to keep it all: a later request may go on from there.
	p.KVUnified, p.SwaFull, p.NoPerf = 1, 1, 1
	p.FlashAttentionType = m.settings.flash
	p.AbortCallback, p.AbortCallbackData = abortCallback(), d.abort.id
	var err error
	err = inHugePages(func() error {
		d.ctx, err = llama.InitFromModel(m.handle, p)
		return err
	})
	if err != nil {
		d.abort.release()
		return nil, refused("the engine cannot make a context")
	}
	if d.mem, err = llama.GetMemory(d.ctx); err != nil {
		_ = llama.Free(d.ctx)
		d.abort.release()
		return nil, err
	}
	d.batch = llama.BatchInit(int32(lim.rows), 0, 1)
	d.pool = e.threads(threads)
	d.pool.attach(d.ctx)
	return d, nil
}
