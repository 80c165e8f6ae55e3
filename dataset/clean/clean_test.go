package clean_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/llm"
)

// long is a text that is long enough to have near duplicates.
const long = "The guest in the corner room on the third floor asked twice for fresh towels, a second pillow and a quiet place " +
	"to work, because the street below the window is loud from early in the morning until well after midnight on most days."

func example(question, response string) dataset.Example {
	return dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User(question)}, Response: response,
		QualityScore: 0.9, TaskType: "general", CreatedAt: time.Unix(1_700_000_000, 0).UTC(),
		Source: dataset.Source{Kind: "import", Name: "a.jsonl", Terms: "open"}})
}

func with(ex dataset.Example, change func(*dataset.Example)) dataset.Example {
	change(&ex)
	return dataset.Identify(ex)
}

func selected(t *testing.T, examples []dataset.Example, opts clean.Options) clean.Selection {
	t.Helper()
	s, err := clean.Select(t.Context(), examples, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Kept)+len(s.Excluded) != len(examples) {
		t.Fatalf("%d kept and %d excluded of %d", len(s.Kept), len(s.Excluded), len(examples))
	}
	if !s.Manifest.Verify() {
		t.Fatal("the manifest's digest is not the one of its content")
	}
	return s
}

// TestSelect_saysWhyNot holds one example against the options and names the
// reason, "" for kept.
func TestSelect_saysWhyNot(t *testing.T) {
	heldOut := clean.Options{HeldOut: []clean.HeldOut{
		{Name: "eval:1", Question: "Where is the pool?", Answer: "spa"},
		{Name: "eval:2", Question: long, Answer: "noise"},
	}}
	german := clean.Options{Parameters: clean.Parameters{Languages: []string{"de"}}}
	cases := map[string]struct {
		ex   dataset.Example
		opts clean.Options
		want clean.Reason
	}{
		"plain":        {ex: example("Where is the pool?", "spa")},
		"restricted":   {ex: with(example("q", "a"), func(ex *dataset.Example) { ex.Source.Terms = "restricted" }), want: clean.Terms},
		"not allowed":  {ex: example("q", "a"), opts: clean.Options{Allowed: func(dataset.Example) string { return "no" }}, want: clean.Terms},
		"github token": {ex: example("use ghp_16C7e42F292c6912E7710c838347Ae178B4a please", "ok"), want: clean.Secret},
		"aws key":      {ex: example("q", "aws_access_key_id = AKIAIMNOJVGFDXXXE4OA"), want: clean.Secret},
		"email":        {ex: example("write to anna.schmidt@posteo.de", "done"), want: clean.PersonalData},
		"in system": {ex: with(example("q", "a"), func(ex *dataset.Example) {
			ex.Messages = append([]llm.Message{llm.System("+49 30 90182 4711")}, ex.Messages...)
		}), want: clean.PersonalData},
		"vouched for":  {ex: example("write to anna.schmidt@posteo.de", "done"), opts: clean.Options{Include: map[string]bool{example("write to anna.schmidt@posteo.de", "done").ID: true}}},
		"empty":        {ex: example("q", " \n"), want: clean.Empty},
		"too long":     {ex: example("q", strings.Repeat("ü", 11)), opts: clean.Options{Parameters: clean.Parameters{MaxChars: 10}}, want: clean.TooLong},
		"just so long": {ex: example("q", strings.Repeat("ü", 10)), opts: clean.Options{Parameters: clean.Parameters{MaxChars: 10}}},
		"english":      {ex: example("q", "The pool is on the first floor and it is open to all of our guests."), opts: german, want: clean.OtherLanguage},
		"german":       {ex: example("q", "Das Schwimmbad ist im ersten Stock und es ist für die Gäste."), opts: german},
		"label":        {ex: example("q", "spa"), opts: german},
		"refusal":      {ex: example("q", "I'm sorry, but I can't help with that."), want: clean.Refusal},
		"owner's word": {ex: with(example("q", "I'm sorry, but I can't help with that."), func(ex *dataset.Example) { ex.UserFeedback = 5 })},
		"held out":     {ex: example("where is the POOL", "spa"), opts: heldOut, want: clean.Contaminated},
		"passage":      {ex: example("He said: asked twice for fresh towels, a second pillow and a quiet place to work", "x"), opts: heldOut, want: clean.Contaminated},
		"short runs":   {ex: example("Where is the pool on the roof?", "spa"), opts: heldOut},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := selected(t, []dataset.Example{c.ex}, c.opts)
			var got clean.Reason
			if len(s.Excluded) > 0 {
				got = s.Excluded[0].Reason
				if s.Excluded[0].Detail == "" || s.Excluded[0].ID != c.ex.ID {
					t.Errorf("unexplained: %+v", s.Excluded[0])
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSelect_showsNoSecret(t *testing.T) {
	const secret = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
	s := selected(t, []dataset.Example{example("q", secret), example("q", "anna.schmidt@posteo.de")}, clean.Options{})
	if got := fmt.Sprintf("%+v", s); strings.Contains(got, secret) || strings.Contains(got, "anna") {
		t.Errorf("shown: %s", got)
	}
	for _, e := range s.Excluded {
		if !e.Reason.Quarantined() {
			t.Errorf("%s is not for the owner to look at", e.Reason)
		}
	}
}

func TestSelect_duplicates(t *testing.T) {
	best := with(example(long, "noise"), func(ex *dataset.Example) { ex.QualityScore = 0.99 })
	picture := func(data string) dataset.Example {
		return with(example("What is this?", "a cat"), func(ex *dataset.Example) {
			ex.Messages[0].Images = []llm.Image{{MediaType: "image/png", Data: []byte(data)}}
		})
	}
	cases := map[string]struct {
		a, b dataset.Example
		want clean.Reason // of b
	}{
		"equal but for case":   {best, example(strings.ToUpper(long), "Noise."), clean.ExactDuplicate},
		"one word more":        {best, example(long+" Thanks!", "noise"), clean.NearDuplicate},
		"another label":        {best, example(long+" Thanks!", "towels"), ""},
		"another answer":       {best, example(long, "towels"), ""},
		"half of it":           {best, example(long[:len(long)/2], "noise"), ""},
		"short, one word more": {example("Please clean my room", "cleaning"), example("Please clean my room now", "cleaning"), ""},
		"short, equal":         {example("Please clean my room", "cleaning"), example("please, clean my room!", "cleaning"), clean.ExactDuplicate},
		"another picture":      {picture("1"), picture("2"), ""},
		"signs alone":          {example("3 ? 4", "<"), example("3 ? 4", ">"), ""},
		"accents":              {example("Où est l'hôtel", "ici"), example("ou est l'hotel", "ici"), clean.ExactDuplicate},
		"no spaces":            {example("我想要一个安静的房间", "room"), example("我想要一个大的房间", "room"), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.a.QualityScore = 0.99
			for _, pair := range [][]dataset.Example{{c.a, c.b}, {c.b, c.a}} {
				s := selected(t, pair, clean.Options{})
				var got clean.Reason
				if len(s.Excluded) > 0 {
					got = s.Excluded[0].Reason
					if s.Excluded[0].ID != c.b.ID || s.Excluded[0].Of != c.a.ID {
						t.Errorf("the better one was left out, or is not named: %+v", s.Excluded[0])
					}
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

// TestSelect_include: what the owner vouches for may nearly repeat another one.
func TestSelect_include(t *testing.T) {
	a, b := example(long, "noise"), example(long+" Thanks!", "noise")
	if s := selected(t, []dataset.Example{a, b}, clean.Options{Include: map[string]bool{a.ID: true, b.ID: true}}); len(s.Kept) != 2 {
		t.Errorf("left out: %+v", s.Excluded)
	}
}

// TestSelect_runsInCommon: an item whose words come in short pieces, among others,
// is still found, as long as most of it is there.
func TestSelect_runsInCommon(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	item := synthetic(rng, 1, 60)[0]
	pieces := func(size, of int) string { // every so many words of the item, one other word
		var out []string
		for i, w := range item.words[:of] {
			if out = append(out, w); i%size == size-1 {
				out = append(out, "between")
			}
		}
		return strings.Join(out, " ")
	}
	opts := clean.Options{HeldOut: []clean.HeldOut{{Name: "eval:1", Question: item.text}}}
	for _, c := range []struct {
		text string
		want int // left out
	}{
		{pieces(60, 60), 1},
		{pieces(13, 60), 1}, // 13 words in a row
		{pieces(12, 60), 0}, // 5 of 12 runs of 8 are whole
		{pieces(60, 12), 0}, // a fifth of it
	} {
		if s := selected(t, []dataset.Example{example(c.text, "a")}, opts); len(s.Excluded) != c.want {
			t.Errorf("%q: %+v, want %d", c.text, s.Excluded, c.want)
		}
	}
	short := synthetic(rng, 1, 12)[0] // no run of 13: the runs of 8 decide
	opts.HeldOut = []clean.HeldOut{{Name: "eval:1", Question: short.text}}
	if s := selected(t, []dataset.Example{example("well "+short.text, "a")}, opts); s.Manifest.Excluded[clean.Contaminated] != 1 {
		t.Error("a whole item of 12 words was not found")
	}
	if s := selected(t, []dataset.Example{example(strings.Join(short.words[:9], " "), "a")}, opts); len(s.Excluded) > 0 {
		t.Errorf("two of five runs were enough: %+v", s.Excluded)
	}
}

// TestSelect_frame: what every example shares does not make them duplicates, nor
// contaminated.
func TestSelect_frame(t *testing.T) {
	frame := "Put the following request of a guest into exactly one of these topics and answer with the topic alone, " +
		"without any other word before or after it: checkout, wifi, cleaning, noise, heating, key. The request: "
	var examples []dataset.Example
	for i := range 40 {
		examples = append(examples, example(fmt.Sprintf("%sroom %d wants %s", frame, i, strings.Repeat("x", i+1)), "key"))
	}
	s := selected(t, examples, clean.Options{HeldOut: []clean.HeldOut{{Name: "eval:1", Question: frame + "my door is stuck", Answer: "key"}}})
	if len(s.Excluded) > 0 {
		t.Errorf("left out: %+v", s.Excluded[0])
	}
}

func TestSelect_caps(t *testing.T) {
	var examples []dataset.Example
	for i := range 10 {
		examples = append(examples, with(example(fmt.Sprint("question ", i), "a"), func(ex *dataset.Example) {
			ex.QualityScore = float64(i) / 10
			if i%2 == 0 {
				ex.Source = dataset.Source{Kind: "ensemble", Models: []string{"llamacpp/mine"}}
			}
		}))
	}
	s := selected(t, examples, clean.Options{Parameters: clean.Parameters{MaxPerSource: 2}})
	if got := len(s.Kept); got != 4 || s.Kept[0].QualityScore != 0.9 || s.Manifest.Excluded[clean.SourceCap] != 6 {
		t.Errorf("kept %d, first %.1f, %v", got, s.Kept[0].QualityScore, s.Manifest.Excluded)
	}
	own := func(ex dataset.Example) bool { return ex.Source.Kind == "ensemble" }
	s = selected(t, examples, clean.Options{Parameters: clean.Parameters{MaxSelfGenerated: new(0.2)}, SelfGenerated: own})
	if got := s.Manifest.Excluded[clean.SelfCap]; got != 4 { // 1 beside 5 others
		t.Errorf("%d of its own left out, want 4", got)
	}
	s = selected(t, examples, clean.Options{Parameters: clean.Parameters{MaxSelfGenerated: new(0.2), Budget: 5}, SelfGenerated: own})
	n := 0
	for _, ex := range s.Kept {
		if own(ex) {
			n++
		}
	}
	if len(s.Kept) != 5 || n > 1 {
		t.Errorf("kept %d, %d of its own, want 5 and at most 1", len(s.Kept), n)
	}
}

// TestSelect_property: the order in which examples come changes nothing, a second
// pass leaves nothing out, and none of what is kept repeats another.
func TestSelect_property(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var examples []dataset.Example
	for _, d := range synthetic(rng, 60, 40) {
		examples = append(examples, example(d.text, "ok"))
		examples = append(examples, example(mutate(rng, d.words, 1+rng.IntN(8)), "ok"))
	}
	opts := clean.Options{Parameters: clean.Parameters{Budget: 50}}
	first := selected(t, examples, opts)
	for range 5 {
		rng.Shuffle(len(examples), func(i, j int) { examples[i], examples[j] = examples[j], examples[i] })
		if diff := cmp.Diff(first, selected(t, examples, opts)); diff != "" {
			t.Fatalf("the order counts:\n%s", diff)
		}
	}
	whole := selected(t, examples, clean.Options{})
	if again := selected(t, whole.Kept, clean.Options{}); len(again.Excluded) > 0 {
		t.Errorf("a second pass leaves out %+v", again.Excluded[0])
	}
	if n := whole.Manifest.Excluded[clean.NearDuplicate]; n == 0 {
		t.Error("no near duplicate was found among so many")
	}
}

func TestSelect_manifest(t *testing.T) {
	examples := []dataset.Example{example("a", "1"), example("b", "2"), example("c", "3")}
	base := selected(t, examples, clean.Options{}).Manifest
	if got := base.Lineage.Sources["import:a.jsonl"]; got != 3 {
		t.Errorf("lineage %+v", base.Lineage)
	}
	changed := map[string]clean.Options{
		"parameters": {Parameters: clean.Parameters{MaxPerSource: 2}},
		"held out":   {HeldOut: []clean.HeldOut{{Name: "x", Question: "z"}}},
		"included":   {Include: map[string]bool{examples[0].ID: true}},
	}
	seen := map[string]string{base.Digest: "base"}
	for name, opts := range changed {
		d := selected(t, examples, opts).Manifest.Digest
		if of, ok := seen[d]; ok {
			t.Errorf("%s: the digest is that of %s", name, of)
		}
		seen[d] = name
	}
	base.Examples = slices.Clone(base.Examples)
	slices.Reverse(base.Examples)
	if base.Verify() {
		t.Error("another order has the same digest")
	}
}

func TestSelect_badOptions(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, p := range []clean.Parameters{{Near: 0.1}, {Near: 2}, {Budget: -1}, {MaxSelfGenerated: new(1.1)}, {MaxSelfGenerated: &nan},
		{ReplayShare: -0.1}, {MaxPerSource: -1}, {Languages: []string{"english"}}, {MaxChars: -1}, {Near: nan}} {
		if _, err := clean.Select(t.Context(), nil, clean.Options{Parameters: p}); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}

func TestSelect_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := clean.Select(ctx, []dataset.Example{example("a", "b")}, clean.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func ExampleSelect() {
	examples := []dataset.Example{
		dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User("Where is the pool?")}, Response: "First floor."}),
		dataset.Identify(dataset.Example{Messages: []llm.Message{llm.User("where is the pool")}, Response: "First floor"}),
	}
	s, err := clean.Select(context.Background(), examples, clean.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(s.Kept), s.Excluded[0].Reason)
	// Output: 1 exact_duplicate
}
