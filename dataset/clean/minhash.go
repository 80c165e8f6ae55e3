package clean

// A signature has lshBands bands of lshRows minima. Two sets of Jaccard
// similarity s share a band with probability 1-(1-s^6)^20: 0.998 at 0.8, 0.27 at
// 0.5. What shares one is compared exactly, so only recall depends on it.
const (
	lshBands = 20
	lshRows  = 6
	minima   = lshBands * lshRows
)

// signature holds the minimum of each of the hash functions over a set. The share
// of equal entries of two signatures estimates their sets' Jaccard similarity.
type signature [minima]uint32

// coefficients are the odd factors and the offsets of the hash functions.
var coefficients = func() (c [minima][2]uint64) {
	for i := range c {
		c[i] = [2]uint64{mix(uint64(2*i)) | 1, mix(uint64(2*i + 1))}
	}
	return c
}()

func sign(set []uint32) (s signature) {
	for i := range s {
		s[i] = ^uint32(0)
	}
	for _, g := range set {
		x := mix(uint64(g))
		for i := range s {
			// Multiply-shift: the upper half of a product is spread well enough.
			s[i] = min(s[i], uint32((coefficients[i][0]*x+coefficients[i][1])>>32))
		}
	}
	return s
}

// likeness estimates the Jaccard similarity of the signed sets.
func (s *signature) likeness(t *signature) float64 {
	equal := 0
	for i := range s {
		if s[i] == t[i] {
			equal++
		}
	}
	return float64(equal) / minima
}

// index finds the signed sets that share a band. The zero value is ready.
type index struct {
	buckets map[uint64][]int32
	seen    map[int32]bool
}

// add puts number n, whose signature is s, into the index.
func (x *index) add(n int, s *signature) {
	if x.buckets == nil {
		x.buckets = map[uint64][]int32{}
	}
	for b := range lshBands {
		key := band(s, b)
		x.buckets[key] = append(x.buckets[key], int32(n))
	}
}

// candidates calls yield with each number that shares a band with s, once, until
// it returns false.
func (x *index) candidates(s *signature, yield func(n int) bool) {
	if x.seen == nil {
		x.seen = map[int32]bool{}
	}
	clear(x.seen)
	for b := range lshBands {
		for _, n := range x.buckets[band(s, b)] {
			if x.seen[n] {
				continue
			}
			x.seen[n] = true
			if !yield(int(n)) {
				return
			}
		}
	}
}

func band(s *signature, b int) uint64 {
	h := uint64(b)
	for _, m := range s[b*lshRows : (b+1)*lshRows] {
		h = mix(h ^ uint64(m))
	}
	return h
}
