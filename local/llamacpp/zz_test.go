package llamacpp

import (
	"os"
	"testing"
	"time"
)

func TestZZ(t *testing.T) {
	e := testEngine(t)
	for _, id := range []string{smol, gemma} {
		for _, typ := range []string{"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q6_K"} {
			path := testFile(t, id)
			if typ != "" {
				out := "/work/lab/llq/t-" + id + "-" + typ + ".gguf"
				if _, err := os.Stat(out); err != nil {
					t0 := time.Now()
					if err := e.Quantize(t.Context(), path, out, typ); err != nil {
						t.Error(err)
						continue
					}
					t.Log("quantize", typ, time.Since(t0))
				}
				path = out
			}
			bench(t, e, id+" "+typ, path)
		}
	}
}

func bench(t *testing.T, e *Engine, name, path string) {
	m, err := e.Open(t.Context(), path, Options{Threads: 1})
	if err != nil {
		t.Error(err)
		return
	}
	defer m.Close()
	d := m.dev
	no := func() bool { return false }
	ctx := 8
	var rows []row
	for p := range ctx {
		rows = append(rows, row{seq: 0, pos: p, token: int32(1000 + p)})
	}
	d.decode(rows, no)
	for _, rw := range [][2]int{{4, 4}, {16, 16}, {20, 1}} {
		best := time.Hour
		for range 3 {
			rows = rows[:0]
			for i := range rw[0] {
				rows = append(rows, row{seq: 0, pos: ctx + i, token: int32(2000 + i), want: i < rw[1]})
			}
			t0 := cpuTime()
			if err := d.decode(rows, no); err != nil {
				t.Fatal(err)
			}
			best = min(best, cpuTime()-t0)
			d.truncate(0, ctx)
		}
		t.Logf("%s rows %d want %d: %v = %v/row", name, rw[0], rw[1], best, best/time.Duration(rw[0]))
	}
}
