package llamacpp

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"retort/llm"
)

// Defaults of a request that says nothing.
const (
	defaultTemperature = 0.7
	defaultTopK        = 40
	defaultTopP        = 0.95
)

// errNoLogits means that the model computed nothing that can be drawn from.
var errNoLogits = errors.New("the model gave no finite logits")

// sampler draws tokens. It keeps the topK likeliest, of these the smallest set
// that reaches the mass topP, of these the ones of at least minP times the
// likeliest one's probability, all at temperature 1; and draws from what is
// left at the given temperature.
type sampler struct {
	temperature, topP, minP float64
	topK                    int // 0 keeps all

	kept []candidate // scratch space
	sum  []float64   // running sums of weights over kept
}

// candidate is a token and its logit.
type candidate struct {
	token int32
	logit float32
}

func newSampler(s llm.Sampling) *sampler {
	p := &sampler{temperature: defaultTemperature, topK: defaultTopK, topP: defaultTopP}
	if s.Temperature != nil {
		p.temperature = *s.Temperature
	}
	if s.TopK != nil {
		p.topK = *s.TopK
	}
	if s.TopP != nil {
		p.topP = *s.TopP
	}
	if s.MinP != nil {
		p.minP = *s.MinP
	}
	return p
}

// read prepares to draw from logits.
func (p *sampler) read(logits []float32) error {
	k := p.topK
	if p.temperature == 0 {
		k = 1
	}
	p.kept = likeliest(p.kept[:0], logits, k)
	if len(p.kept) == 0 {
		return errNoLogits
	}
	p.truncate()
	p.weigh()
	return nil
}

// truncate applies topP and minP to the candidates, which are in order.
func (p *sampler) truncate() {
	if p.topP >= 1 && p.minP == 0 {
		return
	}
	top, total := float64(p.kept[0].logit), 0.0
	for _, c := range p.kept {
		total += math.Exp(float64(c.logit) - top)
	}
	mass := 0.0
	for i, c := range p.kept {
		w := math.Exp(float64(c.logit) - top)
		if mass >= p.topP*total || w < p.minP {
			p.kept = p.kept[:i]
			return
		}
		mass += w
	}
}

// weigh computes the running sums from which draw picks.
func (p *sampler) weigh() {
	top, mass := float64(p.kept[0].logit), 0.0
	p.sum = p.sum[:0]
	for _, c := range p.kept {
		if p.temperature > 0 {
			mass += math.Exp((float64(c.logit) - top) / p.temperature)
		}
		p.sum = append(p.sum, mass)
	}
}

// draw picks a token from what was read last.
func (p *sampler) draw(r *rand.Rand) int32 {
	if len(p.kept) == 1 {
		return p.kept[0].token
	}
	u := r.Float64() * p.sum[len(p.sum)-1]
	i, _ := slices.BinarySearch(p.sum, u)
	for i < len(p.sum)-1 && p.sum[i] <= u { // u is exactly a boundary: it belongs to the next
		i++
	}
	return p.kept[min(i, len(p.kept)-1)].token
}

// likeliest appends to dst the k largest of logits, largest first; all of them
// if k is 0. Of equal ones the lower token comes first. NaN and -Inf are left
// out. It reads logits once and keeps the best in a heap, smallest on top.
func likeliest(dst []candidate, logits []float32, k int) []candidate {
	if k <= 0 || k > len(logits) {
		k = len(logits)
	}
	floor := float32(math.Inf(-1))
	i := 0
	for ; i < len(logits) && len(dst) < k; i++ {
		if logits[i] > floor {
			dst = append(dst, candidate{int32(i), logits[i]})
		}
	}
	if len(dst) == k && k > 0 {
		heapify(dst)
		displace(dst, logits, i)
	}
	slices.SortFunc(dst, byLogit)
	return dst
}

// displace puts those of logits[from:] into the full heap that are larger than
// its smallest. Hardly any are, so it looks at eight at a time.
func displace(heap []candidate, logits []float32, from int) {
	floor := heap[0].logit
	one := func(i int) {
		if l := logits[i]; l > floor {
			heap[0] = candidate{int32(i), l}
			sink(heap, 0)
			floor = heap[0].logit
		}
	}
	i := from
	for ; i+8 <= len(logits); i += 8 {
		v := (*[8]float32)(logits[i:])
		if v[0] > floor || v[1] > floor || v[2] > floor || v[3] > floor ||
			v[4] > floor || v[5] > floor || v[6] > floor || v[7] > floor {
			for j := range v {
				one(i + j)
			}
		}
	}
	for ; i < len(logits); i++ {
		one(i)
	}
}

// byLogit orders the larger logit first, then the lower token.
func byLogit(a, b candidate) int {
	if c := cmp.Compare(b.logit, a.logit); c != 0 {
		return c
	}
	return cmp.Compare(a.token, b.token)
}

func heapify(h []candidate) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		sink(h, i)
	}
}

// sink moves h[i] down to its place in the heap, whose top is the last by
// byLogit.
func sink(h []candidate, i int) {
	for {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if c+1 < len(h) && byLogit(h[c+1], h[c]) > 0 {
			c++
		}
		if byLogit(h[c], h[i]) <= 0 {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}
