package dataset

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// tallyVersion is that of the encoding. Another one is not read: what a tally
// counts can always be counted anew.
const tallyVersion = 1

// micro is the unit of summed quality: Policy.Score rounds to it, so a sum of
// integers is exact and the same in every order.
const micro = 1e6

// tally is a sum over examples. It is the same in whatever order they were added,
// and removing an example undoes its adding. It is not safe for use by several
// goroutines. Its JSON is what encode writes.
type tally struct {
	Version     int                  `json:"version"`
	Total       int                  `json:"total"`
	HighQuality int                  `json:"high_quality"`
	Quality     int64                `json:"quality_millionths"`
	Agreed      int                  `json:"agreed"`
	Stars       [5]int               `json:"stars"`
	Preferred   int                  `json:"preferred"` // with rejected answers
	Pairs       int                  `json:"pairs"`     // rejected answers
	Tasks       map[string]taskTally `json:"tasks"`
	Terms       counts               `json:"terms"`
	Kinds       counts               `json:"kinds"`
	Models      counts               `json:"models"`
	Days        counts               `json:"days"` // of CreatedAt, UTC, "2006-01-02"
}

// taskTally is the sum over the examples of one task type.
type taskTally struct {
	Total       int `json:"total"`
	HighQuality int `json:"high_quality"`
	Rated       int `json:"rated"`
	HeldOut     int `json:"held_out"`
	Training    int `json:"training"` // on the train side and not refused
}

// counts holds no zeros, so that what was undone leaves no trace.
type counts map[string]int

func (c counts) add(name string, n int) {
	name = asStored(name)
	if c[name] += n; c[name] == 0 {
		delete(c, name)
	}
}

func newTally() *tally {
	return &tally{Version: tallyVersion, Tasks: map[string]taskTally{}, Terms: counts{}, Kinds: counts{}, Models: counts{}, Days: counts{}}
}

// add counts ex in.
func (t *tally) add(ex Example) { t.count(ex, 1) }

// remove counts ex, as it was added, out again.
func (t *tally) remove(ex Example) { t.count(ex, -1) }

func (t *tally) count(ex Example, n int) {
	quality := int64(math.Round(ex.QualityScore * micro))
	high := one(float64(quality) > highQuality*micro) * n
	rated := one(ex.UserFeedback > 0) * n
	t.Total += n
	t.HighQuality += high
	t.Quality += quality * int64(n)
	t.Agreed += one(ex.ModelsAgreed) * n
	t.Preferred += one(len(ex.Rejected) > 0) * n
	t.Pairs += len(ex.Rejected) * n
	if ex.UserFeedback >= 1 && ex.UserFeedback <= len(t.Stars) {
		t.Stars[ex.UserFeedback-1] += n
	}
	name := asStored(ex.TaskType)
	task := t.Tasks[name]
	task.Total += n
	task.HighQuality += high
	task.Rated += rated
	task.HeldOut += one(ex.Split == SplitHeldOut) * n
	task.Training += one(ex.Split == SplitTrain && !ex.Refused()) * n
	if t.Tasks[name] = task; task == (taskTally{}) {
		delete(t.Tasks, name)
	}
	t.Terms.add(termsClass(ex.Source.Terms), n)
	t.Kinds.add(ex.Source.Kind, n)
	for i, model := range ex.Source.Models {
		if !slices.Contains(ex.Source.Models[:i], model) {
			t.Models.add(model, n)
		}
	}
	t.Days.add(ex.CreatedAt.UTC().Format(time.DateOnly), n)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// termsClass is the class of an example's terms, of which there are three.
func termsClass(terms string) string {
	if terms == "open" || terms == "restricted" {
		return terms
	}
	return "unknown"
}

// asStored is text as it is read back from JSON, so that an example counts the
// same before it was stored and afterwards.
func asStored(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

func (t *tally) encode() ([]byte, error) { return json.Marshal(t) }

// decodeTally reads what encode wrote. The error wraps ErrDamaged for what it
// cannot have written, as far as that can be told, and for other versions.
func decodeTally(data []byte) (*tally, error) {
	t := &tally{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, fmt.Errorf("tally: %w: %w", ErrDamaged, err)
	}
	if t.Version != tallyVersion {
		return nil, fmt.Errorf("tally: %w: version %d, want %d", ErrDamaged, t.Version, tallyVersion)
	}
	tasks := counts{}
	for name, task := range t.Tasks {
		tasks[name] = task.Total
	}
	for what, c := range map[string]counts{"tasks": tasks, "terms": t.Terms, "source kinds": t.Kinds, "days": t.Days} {
		if !c.sumsTo(t.Total) {
			return nil, fmt.Errorf("tally: %w: its %s are not %d examples", ErrDamaged, what, t.Total)
		}
	}
	if t.Tasks == nil || t.Models == nil {
		return nil, fmt.Errorf("tally: %w: it is not whole", ErrDamaged)
	}
	return t, nil
}

// sumsTo reports whether c was counted over so many examples, each once.
func (c counts) sumsTo(total int) bool {
	for _, n := range c {
		if n <= 0 {
			return false
		}
		total -= n
	}
	return c != nil && total == 0
}
