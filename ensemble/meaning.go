package ensemble

import (
	"context"
	"fmt"
	"slices"

	"retort/ensemble/meaning"
)

// cluster gives answers in prose that mean the same one key, by the embedder
// if there is one. Where it fails the answers keep their own keys, and the
// outcome says so.
func (q *query) cluster(ctx context.Context) {
	keys := q.proseKeys()
	if q.opts.Embedder == nil || len(keys) < 2 || !q.mayHelp(q.opts.Embedder, "embedder") {
		return
	}
	ctx, cancel := q.helping(ctx)
	defer cancel()
	vectors, err := q.opts.Embedder.Embed(ctx, keys)
	if err == nil && len(vectors) != len(keys) {
		err = fmt.Errorf("%d vectors for %d texts", len(vectors), len(keys))
	}
	if err != nil {
		q.note("meaning was compared by text alone: %s: %v", q.opts.Embedder.ID(), err)
		return
	}
	q.rename(meaning.Join(keys, vectors))
	q.out.Method = fmt.Sprintf("agreement by meaning (embeddings of %s)", q.opts.Embedder.ID())
}

// mayJoin reports whether answers that differ so far may turn out to be one, so that
// counting them decides nothing before all are there.
func (q *query) mayJoin() bool { return q.opts.Embedder != nil && len(q.proseKeys()) > 1 }

// proseKeys are the different keys of answers in prose, in order of appearance.
func (q *query) proseKeys() []string {
	var keys []string
	for _, p := range q.parts {
		for _, c := range p.candidates {
			if p.spread == nil && meaning.Prose(c.Key) && !slices.Contains(keys, c.Key) {
				keys = append(keys, c.Key)
			}
		}
	}
	return keys
}

// rename gives candidates the key of their cluster.
func (q *query) rename(cluster map[string]string) {
	for i := range q.parts {
		for j := range q.parts[i].candidates {
			c := &q.parts[i].candidates[j]
			if key, ok := cluster[c.Key]; ok {
				c.Key = key
			}
		}
	}
}
