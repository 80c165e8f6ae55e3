package bench

import "testing"

func TestReadAll_addsEverything(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 1000, 4099} {
		buf := make([]uint64, n)
		want := uint64(0)
		for i := range buf {
			buf[i] = uint64(i * i)
			want += buf[i]
		}
		for _, threads := range []int{1, 2, 3, 16} {
			if got := readAll(buf, threads); got != want {
				t.Errorf("%d numbers by %d threads: %d, want %d", n, threads, got, want)
			}
		}
	}
}

func BenchmarkReadAll(b *testing.B) {
	buf := make([]uint64, bandwidthBuffer/8)
	for i := range buf {
		buf[i] = uint64(i)
	}
	for _, threads := range []int{1, 2} {
		b.Run(string(rune('0'+threads)), func(b *testing.B) {
			b.SetBytes(8 * int64(len(buf)))
			for b.Loop() {
				readAll(buf, threads)
			}
		})
	}
}
