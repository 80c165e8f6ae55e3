package dataset_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"retort/dataset"
	"retort/llm"
)

func ask(question string) dataset.Example {
	return dataset.Example{Messages: []llm.Message{llm.User(question)}, Response: "yes"}
}

// These must never change: stores depend on them. They were computed apart from
// this code, from what the comment of Identify says.
func TestIdentify_isStable(t *testing.T) {
	tests := []struct {
		ex    dataset.Example
		id    string
		split dataset.Split
	}{
		{ask("Is water wet?"), "sha256:5a59bbf415dc35e1a37fc0fff1f5f32bb57abb54f6b6106cfdc12f64be776cb9", dataset.SplitTrain},
		{ask("Question  4?"), "sha256:40a0ffcffda06b7e622c3f98821242a2562d7b378f78eb92bdc6e9ddcdb13545", dataset.SplitHeldOut},
		{dataset.Example{
			Messages: []llm.Message{llm.System("Répondez."), llm.User("Où est-ce, №\u00a07?")},
			Response: "là\n😀",
		}, "sha256:751b1104400a8ec15ef3738d481a252616921ccaa16512ae609b2b161f31fa17", dataset.SplitTrain},
	}
	for _, test := range tests {
		got := dataset.Identify(test.ex)
		if got.ID != test.id || got.Split != test.split {
			t.Errorf("%q: %s, %s; want %s, %s", test.ex.Messages, got.ID, got.Split, test.id, test.split)
		}
	}
}

func TestIdentify_tellsConversationsApart(t *testing.T) {
	seen := map[string]int{}
	for i, ex := range []dataset.Example{
		ask("a"),
		ask("A"),
		ask("a "),
		{Messages: []llm.Message{llm.User("a")}, Response: "no"},
		{Messages: []llm.Message{llm.System("a")}, Response: "yes"},
		{Messages: []llm.Message{llm.User("a"), llm.Assistant("yes")}, Response: "yes"},
		{Messages: []llm.Message{llm.User("a,4:user,1:b")}, Response: "yes"},
		{Messages: []llm.Message{llm.User("a"), llm.User("b")}, Response: "yes"},
		{Messages: []llm.Message{llm.User("")}, Response: "ayes"},
		{Response: "yes"},
	} {
		id := dataset.Identify(ex).ID
		if j, ok := seen[id]; ok {
			t.Errorf("conversations %d and %d have the same ID", j, i)
		}
		seen[id] = i
	}
	ex := ask("a")
	ex.QualityScore, ex.TaskType, ex.Source.Kind = 1, "code", "import"
	if dataset.Identify(ex).ID != dataset.Identify(ask("a")).ID {
		t.Error("the ID depends on more than the conversation")
	}
}

func TestIdentify_keepsNearCopiesTogether(t *testing.T) {
	copies := []string{
		"How do I reset the pass-word for café no. %d?",
		"how do i reset the PASS WORD for Café No %d",
		"  How do I reset   the pass\nword, for cafe\u0301 no. %d ?!",
		"“How do I reset the pass–word for ｃａｆé no. %d”…",
	}
	heldOut := 0
	for n := range 200 {
		want := dataset.Identify(ask(fmt.Sprintf(copies[0], n))).Split
		if want == dataset.SplitHeldOut {
			heldOut++
		}
		for _, question := range copies {
			ex := ask(fmt.Sprintf(question, n))
			ex.Response = fmt.Sprint("another response ", n)
			if got := dataset.Identify(ex).Split; got != want {
				t.Errorf("%q is on the side %q, its near copy on %q", ex.Messages[0].Content, got, want)
			}
		}
	}
	if heldOut == 0 {
		t.Error("all were on one side: nothing was tested")
	}
}

func TestIdentify_holdsOutATenth(t *testing.T) {
	const n = 20_000
	heldOut := 0
	for i := range n {
		if dataset.Identify(ask(fmt.Sprint("question ", i))).Split == dataset.SplitHeldOut {
			heldOut++
		}
	}
	if share := float64(heldOut) / n; share < 0.09 || share > 0.11 {
		t.Errorf("%.3f are held out, want about 0.1", share)
	}
}

// TestIdentify_isWhatItsCommentSays computes both digests in the plainest way.
func TestIdentify_isWhatItsCommentSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []rune("aZ09 .,-\n\tÄ\u0301éß№ﬁ你😀\u00a0")
	text := func(ascii bool) string {
		out := make([]rune, rng.IntN(40))
		for i := range out {
			if out[i] = letters[rng.IntN(len(letters))]; ascii {
				out[i] = rune(rng.IntN(128))
			}
		}
		return string(out)
	}
	for range 2000 {
		ex := dataset.Example{Response: text(true)}
		id, split := "retort example v1\n", "retort split v1\n"
		for range 1 + rng.IntN(3) {
			m := llm.User(text(rng.IntN(2) == 0))
			ex.Messages = append(ex.Messages, m)
			plain := strings.Join(strings.FieldsFunc(strings.ToLower(stripAccents(m.Content)), func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsNumber(r)
			}), " ")
			id += fmt.Sprintf("4:user,%d:%s,", len(m.Content), m.Content)
			split += fmt.Sprintf("4:user,%d:%s,", len(plain), plain)
		}
		id += fmt.Sprintf("%d:%s,", len(ex.Response), ex.Response)
		want := dataset.SplitTrain
		if sum := sha256.Sum256([]byte(split)); binary.BigEndian.Uint64(sum[:])%10 == 0 {
			want = dataset.SplitHeldOut
		}
		got := dataset.Identify(ex)
		if got.Split != want || got.ID != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(id))) {
			t.Fatalf("%q: %s, %s; want %s of %q and %q", ex.Messages, got.ID, got.Split, want, id, split)
		}
	}
}

func stripAccents(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(text))
}

func BenchmarkIdentify(b *testing.B) {
	ex := newExample(1)
	b.ReportAllocs()
	for b.Loop() {
		dataset.Identify(ex)
	}
}
