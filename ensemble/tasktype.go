package ensemble

import (
	"strings"
	"unicode"

	"retort/llm"
)

// The task types that Classify tells apart.
const (
	TaskReasoning = "reasoning"
	TaskCode      = "code"
	TaskCreative  = "creative"
	TaskGeneral   = "general"
)

// taskWords are what gives a task type away. A word counts once however often
// it comes; one that ends in * stands for all that begin so.
var taskWords = []struct {
	taskType string
	words    string
}{
	{TaskCode, "code program* function* implement* python java javascript typescript golang rust sql regex* bug debug* compile* " +
		"authentication login server* database* software algorithm* api class method* script* refactor* unittest* html css bash json array* recursi* endpoint* binary"},
	{TaskCreative, "poem* story stories write* song* lyrics haiku limerick* novel* fiction* slogan* tagline* imagine invent* " +
		"dialogue character* rhyme* screenplay* essay* brainstorm* name* joke*"},
	{TaskReasoning, "why prove* proof* solve* calculate* compute* how*many how*much if then therefore implication* compare* explain* analy* " +
		"evaluat* deduce* infer* logic* probability percent* equation* sum cause* consequence* trade-off* argue* step*"},
}

// Classify finds out what kind of task a conversation's last question is, by the
// words in it: code if it holds code, else the type with most of its words in
// it, where "write" and the like need company; general if there are none. It is
// a rule of thumb that costs nothing: give the task type where it is known.
func Classify(messages []llm.Message) string {
	text := ""
	for _, m := range messages {
		if m.Role == llm.RoleUser {
			text = m.Content
		}
	}
	if strings.Contains(text, "```") {
		return TaskCode
	}
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		words[w] = true
	}
	best, top := TaskGeneral, 0
	for _, t := range taskWords {
		n := 0
		for w := range strings.FieldsSeq(t.words) {
			if hasWord(words, w) {
				n++
			}
		}
		if n > top {
			best, top = t.taskType, n
		}
	}
	if top == 0 && sums(text) {
		return TaskReasoning
	}
	return best
}

// hasWord reports whether all parts of a pattern are among words.
func hasWord(words map[string]bool, pattern string) bool {
	stem, open := strings.CutSuffix(pattern, "*")
	if first, second, two := strings.Cut(stem, "*"); two {
		return words[first] && words[second]
	}
	if !open {
		return words[pattern]
	}
	for w := range words {
		if strings.HasPrefix(w, stem) {
			return true
		}
	}
	return false
}

// sums reports whether text holds a sum to work out, as in "2+2".
func sums(text string) bool {
	runes := []rune(strings.Join(strings.Fields(text), ""))
	for i := 1; i+1 < len(runes); i++ {
		if strings.ContainsRune("+*/×÷^", runes[i]) && unicode.IsDigit(runes[i-1]) && unicode.IsDigit(runes[i+1]) {
			return true
		}
	}
	return false
}
