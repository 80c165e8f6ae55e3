package llamacpp

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"retort/llm"
)

// byteWords is a vocabulary of the single bytes. Token 256 ends an answer.
type byteWords struct{}

func (byteWords) piece(token int32) string {
	if token > 255 {
		return ""
	}
	return string([]byte{byte(token)})
}
func (byteWords) endsAnswer(token int32) bool { return token == 256 }

func byteIndex() *tokenIndex { return newTokenIndex(byteWords{}, 257) }

// babble draws an answer from a model that knows nothing, bound to a format;
// false if it came to no end.
func babble(t testing.TB, format llm.Format, seed uint64, limit int) (string, bool) {
	t.Helper()
	req := llm.Request{Format: &format, Sampling: llm.Sampling{Temperature: new(1.0), TopK: new(0), TopP: new(1.0)}}
	f, err := newForm(req, byteWords{}, " ", byteIndex)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{box: newMailbox()}
	g := &generation{sampler: newSampler(req.Sampling), limit: limit, words: byteWords{}, form: f, job: j}
	s := &sample{rng: rand.New(rand.NewPCG(seed, 1)), form: f.matcher.root}
	s.text.lead = " "
	j.samples = []*sample{s}
	b := &branch{job: j, samples: j.samples}
	for i := uint64(0); ; i++ {
		logits := randomLogits(257, seed<<20+i)
		logits['"'] += 4 // or its texts would never end
		logits['}'] += 4
		logits[']'] += 4
		forks, err := g.choose(b, 0, logits)
		if err != nil {
			t.Fatal(err)
		}
		if len(forks) == 0 {
			break
		}
	}
	out, err := (&job{ctx: t.Context(), samples: j.samples, box: j.box}).wait()
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Text, out[0].FinishReason == llm.FinishStop
}

const treeSchema = `{"$defs":{"tree":{"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":5},
	"kids":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["name"],"additionalProperties":false}},
	"$ref":"#/$defs/tree"}`

var goodSchemas = map[string]string{
	"object": `{"type":"object","title":"x","properties":{"name":{"type":"string"},"age":{"type":"integer"},
		"ok":{"type":"boolean"},"x":{"type":"null"}},"required":["age","name"],"additionalProperties":false}`,
	"optional members": `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}}}`,
	"first required":   `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a"]}`,
	"last required":    `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["b"]}`,
	"array":            `{"type":"array","items":{"type":"number"},"minItems":2,"maxItems":4}`,
	"array open":       `{"type":"array","items":{"enum":["a","b"]},"minItems":1}`,
	"array empty":      `{"type":"array","maxItems":0}`,
	"array of one":     `{"type":"array","items":{"type":"boolean"},"maxItems":1}`,
	"enum":             `{"enum":["a\"\n\\é<b>",1,2.5,null,true,{"k":[1]}]}`,
	"enum of type":     `{"type":"string","enum":["a",1]}`,
	"const":            `{"const":{"a":[1,"x"]}}`,
	"types":            `{"type":["integer","null"]}`,
	"any":              `true`,
	"anything":         `{"description":"free"}`,
	"anyOf":            `{"anyOf":[{"type":"string","maxLength":3},{"type":"array","items":{"type":"integer"}}]}`,
	"oneOf types":      `{"oneOf":[{"type":"string"},{"type":"integer"},{"type":"object"}]}`,
	"oneOf kinds": `{"oneOf":[{"type":"object","properties":{"t":{"const":"a"},"v":{"type":"integer"}},"required":["t","v"]},
		{"type":"object","properties":{"t":{"const":"b"}},"required":["t"]}]}`,
	"allOf of one":      `{"allOf":[{"type":"boolean"}]}`,
	"tree":              treeSchema,
	"itself":            `{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["next"]}`,
	"map":               `{"type":"object","additionalProperties":{"type":"integer"}}`,
	"free object":       `{"type":"object"}`,
	"closed object":     `{"type":"object","additionalProperties":false}`,
	"required, unnamed": `{"type":"object","required":["z"],"additionalProperties":{"type":"boolean"}}`,
	"string length":     `{"type":"string","minLength":3,"maxLength":6}`,
	"implied":           `{"properties":{"a\"b":{"type":"string"}},"required":["a\"b"]}`,
	"escaped pointer":   `{"$defs":{"a/b~c":{"type":"integer"}},"$ref":"#/$defs/a~1b~0c"}`,
}

// TestSchema_answersAreValid draws answers from a model that knows nothing.
func TestSchema_answersAreValid(t *testing.T) {
	for name, source := range goodSchemas {
		var schema jsonschema.Schema
		if err := json.Unmarshal([]byte(source), &schema); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resolved, err := schema.Resolve(nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		whole := 0
		for seed := range uint64(30) {
			text, ended := babble(t, llm.Format{JSONSchema: json.RawMessage(source)}, seed, 2000)
			if !ended {
				continue
			}
			whole++
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Errorf("%s: %q: %v", name, text, err)
			} else if err := resolved.Validate(value); err != nil {
				t.Errorf("%s: %q: %v", name, text, err)
			}
		}
		if whole < 15 {
			t.Errorf("%s: %d of 30 answers came to an end", name, whole)
		}
	}
}

func TestSchema_refusals(t *testing.T) {
	for source, want := range map[string]string{
		`{"type":"string","pattern":"a+"}`:                                      `"pattern"`,
		`{"type":"string","format":"date"}`:                                     `"format"`,
		`{"type":"integer","minimum":3}`:                                        `"minimum"`,
		`{"type":"array","uniqueItems":true}`:                                   `"uniqueItems"`,
		`{"type":"object","patternProperties":{}}`:                              `"patternProperties"`,
		`{"type":"object","properties":{"a":{"type":"number","multipleOf":2}}}`: `#/properties/a: "multipleOf"`,
		`{"not":{"type":"string"}}`:                                             `"not"`,
		`{"if":true}`:                                                           `"if"`,
		`{"anyOf":[true],"minLength":2}`:                                        `"minLength"`,
		`{"oneOf":[{"type":"integer"},{"type":"number"}]}`:                      `"oneOf"`,
		`{"allOf":[true,true]}`:                                                 `"allOf"`,
		`{"$ref":"other.json"}`:                                                 `"other.json"`,
		`{"type":"string","maxLength":100000}`:                                  `"maxLength"`,
		`{"type":"string","made-up":1}`:                                         `"made-up"`,
		`false`:                                                                 `false`,
	} {
		if _, err := schemaGrammar([]byte(source)); !errors.Is(err, llm.ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want ErrUnsupported that names %s", source, err, want)
		}
	}
	for _, source := range []string{`{`, `1`, `{"type":"text"}`, `{"type":[]}`, `{"$ref":"#/nowhere"}`, `{"enum":[]}`,
		`{"enum":["a"],"type":"integer"}`, `{"minLength":"x"}`, `{"minItems":3,"maxItems":2}`, `{"required":["a"],"additionalProperties":false}`,
		`{"type":"string","type":"null"}`, `{"properties":[]}`, `{"required":[1]}`, `{"anyOf":{}}`, `{"$ref":1}`,
		strings.Repeat(`{"items":`, 9999) + "1" + strings.Repeat("}", 9999)} {
		if _, err := schemaGrammar([]byte(source)); !errors.Is(err, llm.ErrBadRequest) {
			t.Errorf("%.60s: error %v, want ErrBadRequest", source, err)
		}
	}
}

// TestSchema_endless is of schemas that no text of finite length matches.
func TestSchema_endless(t *testing.T) {
	for _, source := range []string{
		`{"$ref":"#"}`,
		`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`,
	} {
		_, err := newForm(llm.Request{Format: &llm.Format{JSONSchema: json.RawMessage(source)}}, byteWords{}, "", byteIndex)
		if !errors.Is(err, llm.ErrBadRequest) {
			t.Errorf("%s: error %v, want ErrBadRequest", source, err)
		}
	}
}

// FuzzSchema holds every schema that is converted to its promise.
func FuzzSchema(f *testing.F) {
	for _, source := range goodSchemas {
		f.Add(source, uint64(1))
	}
	f.Fuzz(func(t *testing.T, source string, seed uint64) {
		text, err := schemaGrammar([]byte(source))
		if err != nil {
			if !errors.Is(err, llm.ErrBadRequest) && !errors.Is(err, llm.ErrUnsupported) {
				t.Errorf("error %v is of no kind", err)
			}
			return
		}
		if _, err := parseGBNF(text); err != nil { // too large, or endless
			return
		}
		var schema jsonschema.Schema
		if json.Unmarshal([]byte(source), &schema) != nil {
			return
		}
		resolved, err := schema.Resolve(nil)
		if err != nil {
			return
		}
		answer, ended := babble(t, llm.Format{JSONSchema: json.RawMessage(source)}, seed, 300)
		var value any
		if !ended {
			return
		}
		if err := json.Unmarshal([]byte(answer), &value); err != nil {
			t.Errorf("%q: %v", answer, err)
		} else if err := resolved.Validate(value); err != nil {
			t.Errorf("%q: %v", answer, err)
		}
	})
}
