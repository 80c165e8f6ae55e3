package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"retort/ensemble"
	"retort/llm"
	"retort/llm/llmtest"
)

func script(name string, answers ...string) *llmtest.Script {
	return &llmtest.Script{Name: name, Answers: answers}
}

func ask(text string) llm.Request {
	return llm.Request{Messages: []llm.Message{llm.User(text)}}
}

func query(t *testing.T, s ensemble.Strategy, members ...ensemble.Member) (ensemble.Outcome, error) {
	t.Helper()
	e, err := ensemble.New(s, members...)
	if err != nil {
		t.Fatal(err)
	}
	return e.Query(t.Context(), ask("what colour is the sky?"))
}

func TestEnsemble_isAModel(t *testing.T) {
	llmtest.TestModel(t, func(t *testing.T) llm.Model {
		e, err := ensemble.New(ensemble.BestOfN, ensemble.Member{Model: script("a")})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}, llmtest.Options{})
}

func TestConsensus(t *testing.T) {
	down := &llmtest.Script{Name: "down", Err: errors.New("offline")}
	for name, tc := range map[string]struct {
		members    []ensemble.Member
		answer     string
		confidence float64
		why        string // part of the error; empty means consensus
	}{
		"alike but for form": {
			members: []ensemble.Member{{Model: script("a", "Blue.")}, {Model: script("b", "  blue")}},
			answer:  "Blue.", confidence: 1,
		},
		"majorities agree": {
			members: []ensemble.Member{{Model: script("a", "blue", "blue", "grey"), Samples: 3}, {Model: script("b", "blue")}},
			answer:  "blue", confidence: 5.0 / 6,
		},
		"dissent": {
			members: []ensemble.Member{{Model: script("a", "blue")}, {Model: script("b", "green")}},
			why:     `a says "blue", b says "green"`,
		},
		"a member failed": {
			members: []ensemble.Member{{Model: script("a", "blue")}, {Model: down}},
			why:     "down did not answer",
		},
		"one member of two minds": {
			members: []ensemble.Member{{Model: script("a", "blue", "blue", "grey"), Samples: 3}},
			why:     `67 % of a's samples say "blue"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := queryWith(t, ensemble.Options{AllVotes: true}, ensemble.Consensus, tc.members...)
			if tc.why != "" {
				if !errors.Is(err, ensemble.ErrNoConsensus) || !strings.Contains(err.Error(), tc.why) {
					t.Fatalf("error %v, want ErrNoConsensus with %q", err, tc.why)
				}
				if out.Answer != "" || out.Agreed || len(out.Candidates) == 0 {
					t.Errorf("outcome %+v, want no answer but every candidate", out)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out.Answer != tc.answer || !near(out.Confidence, tc.confidence) || !out.Agreed {
				t.Errorf("%q with confidence %g, agreed %v; want %q with %g", out.Answer, out.Confidence, out.Agreed, tc.answer, tc.confidence)
			}
		})
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestBestOfN(t *testing.T) {
	for name, tc := range map[string]struct {
		members    []ensemble.Member
		answer     string
		confidence float64
	}{
		"votes win": {
			[]ensemble.Member{{Model: script("a", "blue")}, {Model: script("b", "green")}, {Model: script("c", "green")}},
			"green", 2.0 / 3,
		},
		"quality weighs": {
			[]ensemble.Member{{Model: script("a", "blue"), Quality: 9}, {Model: script("b", "green"), Quality: 4}, {Model: script("c", "green"), Quality: 4}},
			"blue", 9.0 / 17,
		},
		"no two alike: the best member's own": {
			[]ensemble.Member{{Model: script("a", "x", "y"), Samples: 2, Quality: 5}, {Model: script("b", "z", "w"), Samples: 2, Quality: 5.1}},
			"z", 5.1 / 2 / 10.1,
		},
		"more samples do not buy votes": {
			[]ensemble.Member{{Model: script("a", "blue"), Samples: 8}, {Model: script("b", "green"), Quality: 6}},
			"green", 6.0 / 11,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := query(t, ensemble.BestOfN, tc.members...)
			if err != nil {
				t.Fatal(err)
			}
			if out.Answer != tc.answer || !near(out.Confidence, tc.confidence) {
				t.Errorf("%q with confidence %g, want %q with %g", out.Answer, out.Confidence, tc.answer, tc.confidence)
			}
		})
	}
}

// An answer that did not come to its end, as of a small model that turns in circles,
// has to be of a much better member to be preferred to one that did.
func TestQuery_unendedAnswersCountLess(t *testing.T) {
	for _, s := range []ensemble.Strategy{ensemble.BestOfN, ensemble.Weighted, ensemble.Cascade} {
		for _, tc := range []struct {
			unended, ended float64 // quality
			want           string
		}{{8, 7, "blue"}, {9.9, 4, "and on and "}} {
			e, err := ensemble.New(s, ensemble.Member{Model: script("a", "and on and on and on"), Quality: tc.unended},
				ensemble.Member{Model: script("b", "blue"), Quality: tc.ended})
			if err != nil {
				t.Fatal(err)
			}
			req := ask("what colour is the sky?")
			req.Sampling.MaxOutputTokens = 3
			if out, err := e.Query(t.Context(), req); err != nil || out.Answer != tc.want {
				t.Errorf("%s of quality %g and %g: %q, %v; want %q", s, tc.unended, tc.ended, out.Answer, err, tc.want)
			}
		}
	}
}

// One answer agrees with nothing: its model's record is all there is to go by.
func TestQuery_oneAnswerIsNoAgreement(t *testing.T) {
	broken := ensemble.Member{Model: &llmtest.Script{Name: "b", Err: errors.New("offline")}}
	good := ensemble.Member{Model: script("a", "blue"), Quality: 8}
	twice := good
	twice.Samples = 2
	for name, tc := range map[string]struct {
		members    []ensemble.Member
		confidence float64
		agreed     bool
		method     string
	}{
		"one alone":            {[]ensemble.Member{good}, 0.8, false, ensemble.MethodRecord},
		"the other one failed": {[]ensemble.Member{good, broken}, 0.8, false, ensemble.MethodRecord},
		"with itself":          {[]ensemble.Member{twice}, 1, true, ensemble.MethodAgreement},
	} {
		for _, s := range []ensemble.Strategy{ensemble.BestOfN, ensemble.Weighted, ensemble.Vote} {
			out, err := queryWith(t, ensemble.Options{AllVotes: true}, s, tc.members...) // or the votes may decide before the other one fails
			if err != nil || out.Answer != "blue" || !near(out.Confidence, tc.confidence) || out.Agreed != tc.agreed || out.Method != tc.method {
				t.Errorf("%s, %s: %q, %v; confidence %g, agreed %t, by %q", name, s, out.Answer, err, out.Confidence, out.Agreed, out.Method)
			}
		}
	}
}

func TestQuery_failures(t *testing.T) {
	offline := errors.New("offline")
	out, err := query(t, ensemble.BestOfN,
		ensemble.Member{Model: script("a", "blue")},
		ensemble.Member{Model: &llmtest.Script{Name: "b", Err: offline}},
		ensemble.Member{Model: &llmtest.Script{Name: "c", Answers: []string{"half an ans"}, Cut: true}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Answer != "blue" || len(out.Candidates) != 1 {
		t.Errorf("answer %q of %d candidates, want the one whole answer", out.Answer, len(out.Candidates))
	}
	if !errors.Is(out.Members[1].Err, offline) || !errors.Is(out.Members[2].Err, llm.ErrIncomplete) {
		t.Errorf("member errors %v and %v are not named", out.Members[1].Err, out.Members[2].Err)
	}

	_, err = query(t, ensemble.BestOfN, ensemble.Member{Model: &llmtest.Script{Name: "b", Err: offline}},
		ensemble.Member{Model: &llmtest.Script{Name: "c", Cut: true}})
	if !errors.Is(err, offline) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with every member's reason", err)
	}
}

func TestQuery_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := &llmtest.Script{Answers: []string{"a b c"}, Step: func(context.Context) error { cancel(); return nil }}
	e, err := ensemble.New(ensemble.BestOfN, ensemble.Member{Model: m})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Query(ctx, ask("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestMember_dealsSamplesOverPrefixes(t *testing.T) {
	m := &llmtest.Script{Name: "a", Reply: func(r llm.Request) string { return r.Messages[0].Content }}
	prefix := func(s string) []llm.Message { return []llm.Message{llm.System(s)} }
	out, err := query(t, ensemble.BestOfN, ensemble.Member{Model: m, Samples: 5,
		Prefixes: [][]llm.Message{prefix("p0"), prefix("p1"), prefix("p2")}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, c := range out.Candidates {
		if c.Sample != i {
			t.Errorf("candidate %d has sample number %d", i, c.Sample)
		}
		got = append(got, c.Text)
	}
	if want := "p0 p1 p2 p0 p1"; strings.Join(got, " ") != want {
		t.Errorf("prefixes %v, want %s", got, want)
	}
}

func TestQuery_costAndUsage(t *testing.T) {
	out, err := query(t, ensemble.BestOfN,
		ensemble.Member{Model: script("a", "one two"), Price: ensemble.Price{InputPer1K: 1, OutputPer1K: 10}})
	if err != nil {
		t.Fatal(err)
	}
	if want := (5*1 + 2*10) / 1000.0; !near(out.CostUSD, want) {
		t.Errorf("cost %g, want %g", out.CostUSD, want)
	}
}

func TestParseStrategy_listsWhatThereIs(t *testing.T) {
	_, err := ensemble.ParseStrategy("guess")
	if !errors.Is(err, ensemble.ErrUnknownStrategy) || !strings.Contains(err.Error(), "consensus") {
		t.Errorf("error %v", err)
	}
}

func Example() {
	members := []ensemble.Member{ // any models: local, remote, or other ensembles
		{Model: &llmtest.Script{Name: "a", Answers: []string{"Paris"}}},
		{Model: &llmtest.Script{Name: "b", Answers: []string{"paris."}}},
	}
	e, _ := ensemble.New(ensemble.Consensus, members...)
	out, err := e.Query(context.Background(), llm.Request{Messages: []llm.Message{llm.User("Capital of France?")}})
	fmt.Println(out.Answer, out.Confidence, err)
	// Output: Paris 1 <nil>
}
