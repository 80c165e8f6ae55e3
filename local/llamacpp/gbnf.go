package llamacpp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"retort/llm"
)

// Bounds of a grammar: it may come from anywhere.
const (
	maxGrammar  = 1 << 20   // bytes of source
	maxRepeat   = 10_000    // times that one part is repeated
	maxElements = 1 << 18   // of the compiled grammar
	maxNesting  = 200       // groups within each other
	rootRule    = "root"    // where a grammar begins
	maxRune     = 0x10_FFFF // the last code point
)

// gbnf reads a grammar in llama.cpp's notation: rules "name ::= alternatives"
// of literals in quotes, classes in brackets, ".", names and groups, each with
// an optional *, +, ? or {m,n}. Names of tokens in angle brackets are refused.
type gbnf struct {
	src   string
	pos   int
	rules *ruleSet
	depth int
}

// parseGBNF compiles a grammar. An error wraps llm.ErrBadRequest and names the
// line.
func parseGBNF(source string) (*grammar, error) {
	if len(source) > maxGrammar {
		return nil, fmt.Errorf("%w: grammar of %d bytes, want at most %d", llm.ErrBadRequest, len(source), maxGrammar)
	}
	p := &gbnf{src: source, rules: newRuleSet()}
	if err := p.file(); err != nil {
		return nil, fmt.Errorf("%w: grammar, line %d: %w", llm.ErrBadRequest, 1+strings.Count(source[:p.pos], "\n"), err)
	}
	g, err := p.rules.compile()
	if err != nil {
		return nil, fmt.Errorf("%w: grammar: %w", llm.ErrBadRequest, err)
	}
	return g, nil
}

func (p *gbnf) file() error {
	for p.space(true); p.pos < len(p.src); p.space(true) {
		if err := p.rule(); err != nil {
			return err
		}
	}
	return nil
}

func (p *gbnf) rule() error {
	name := p.name()
	if name == "" {
		return fmt.Errorf("want the name of a rule, not %.20q", p.rest())
	}
	p.space(false)
	if !p.take("::=") {
		return fmt.Errorf("want ::= after %q", name)
	}
	p.space(true)
	id := p.rules.named(name)
	if p.rules.rules[id] != nil {
		return fmt.Errorf("rule %q is there twice", name)
	}
	alts, err := p.alternatives(false)
	if err != nil {
		return err
	}
	p.rules.rules[id] = alts
	if p.pos < len(p.src) && p.src[p.pos] != '\n' && p.src[p.pos] != '\r' {
		return fmt.Errorf("want the end of the rule, not %.20q", p.rest())
	}
	return nil
}

// alternatives reads up to the end of the rule, or of the group if nested.
func (p *gbnf) alternatives(nested bool) ([][]symbol, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxNesting {
		return nil, fmt.Errorf("more than %d groups within each other", maxNesting)
	}
	var alts [][]symbol
	for {
		seq, err := p.sequence(nested)
		if err != nil {
			return nil, err
		}
		alts = append(alts, seq)
		if !p.take("|") {
			return alts, nil
		}
		p.space(true)
	}
}

func (p *gbnf) sequence(nested bool) ([]symbol, error) {
	seq := []symbol{}
	for p.pos < len(p.src) {
		item, ok, err := p.item()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		p.space(nested)
		if item, err = p.repeats(item, nested); err != nil {
			return nil, err
		}
		if seq = append(seq, item...); len(seq) > maxElements {
			return nil, errTooLarge
		}
	}
	return seq, nil
}

// item reads one part of a sequence; false at its end.
func (p *gbnf) item() ([]symbol, bool, error) {
	switch c := p.src[p.pos]; {
	case c == '"':
		s, err := p.literal()
		return s, true, err
	case c == '[':
		s, err := p.class()
		return s, true, err
	case c == '.':
		p.pos++
		return []symbol{p.rules.class([]runeRange{{0, maxRune}})}, true, nil
	case c == '(':
		p.pos++
		p.space(true)
		alts, err := p.alternatives(true)
		if err == nil && !p.take(")") {
			err = fmt.Errorf("want ), not %.20q", p.rest())
		}
		return []symbol{p.rules.add(alts)}, true, err
	case c == '<' || c == '!':
		return nil, false, fmt.Errorf("tokens in a grammar are not supported: %.20q", p.rest())
	case isNameByte(c):
		return []symbol{{rule: p.rules.named(p.name())}}, true, nil
	}
	return nil, false, nil
}

// repeats applies the marks behind an item.
func (p *gbnf) repeats(item []symbol, nested bool) ([]symbol, error) {
	for p.pos < len(p.src) {
		least, most := 0, -1
		switch p.src[p.pos] {
		case '*':
		case '+':
			least = 1
		case '?':
			most = 1
		case '{':
			var err error
			if least, most, err = p.bounds(); err != nil {
				return nil, err
			}
		default:
			return item, nil
		}
		p.pos++
		p.space(nested)
		var err error
		if item, err = p.rules.repeat(item, least, most); err != nil {
			return nil, err
		}
	}
	return item, nil
}

// bounds reads {m}, {m,} or {m,n} up to the closing brace; most is -1 if open.
func (p *gbnf) bounds() (least, most int, err error) {
	inside, _, found := strings.Cut(p.src[p.pos+1:], "}")
	if !found {
		return 0, 0, fmt.Errorf("want }, not %.20q", p.rest())
	}
	from, to, two := strings.Cut(inside, ",")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if least, err = times(from); err != nil {
		return 0, 0, err
	}
	switch {
	case !two:
		most = least
	case to == "":
		most = -1
	default:
		if most, err = times(to); err != nil {
			return 0, 0, err
		}
		if most < least {
			return 0, 0, fmt.Errorf("repeated %d to %d times", least, most)
		}
	}
	p.pos += 1 + len(inside)
	return least, most, nil
}

func times(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxRepeat {
		return 0, fmt.Errorf("repeated %.20q times, want at most %d", s, maxRepeat)
	}
	return n, nil
}

func (p *gbnf) literal() ([]symbol, error) {
	p.pos++
	var out []symbol
	for !p.take(`"`) {
		r, err := p.char()
		if err != nil {
			return nil, err
		}
		for _, b := range utf8.AppendRune(nil, r) {
			out = append(out, symbol{rule: noRule, lo: b, hi: b})
		}
	}
	return out, nil
}

func (p *gbnf) class() ([]symbol, error) {
	p.pos++
	inverse := p.take("^")
	var ranges []runeRange
	for !p.take("]") {
		lo, err := p.char()
		if err != nil {
			return nil, err
		}
		hi := lo
		if strings.HasPrefix(p.rest(), "-") && !strings.HasPrefix(p.rest(), "-]") {
			p.pos++
			if hi, err = p.char(); err != nil {
				return nil, err
			}
		}
		if hi < lo {
			return nil, fmt.Errorf("class from %q down to %q", lo, hi)
		}
		ranges = append(ranges, runeRange{lo, hi})
	}
	if inverse {
		ranges = complement(ranges)
	}
	return []symbol{p.rules.class(ranges)}, nil
}

// char reads one character of a literal or class.
func (p *gbnf) char() (rune, error) {
	if p.pos >= len(p.src) {
		return 0, fmt.Errorf("it ends within quotes or brackets")
	}
	if p.src[p.pos] != '\\' {
		r, n := utf8.DecodeRuneInString(p.src[p.pos:])
		if r == utf8.RuneError && n == 1 {
			return 0, fmt.Errorf("text that is not UTF-8")
		}
		p.pos += n
		return r, nil
	}
	if p.pos+1 >= len(p.src) {
		return 0, fmt.Errorf("it ends within an escape")
	}
	c := p.src[p.pos+1]
	if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]; digits > 0 {
		return p.hex(digits)
	}
	r, ok := map[byte]rune{'t': '\t', 'r': '\r', 'n': '\n', '\\': '\\', '"': '"', '[': '[', ']': ']', '-': '-', '^': '^'}[c]
	if !ok {
		return 0, fmt.Errorf("unknown escape %.2q", p.rest())
	}
	p.pos += 2
	return r, nil
}

func (p *gbnf) hex(digits int) (rune, error) {
	end := p.pos + 2 + digits
	if end > len(p.src) {
		return 0, fmt.Errorf("it ends within an escape")
	}
	n, err := strconv.ParseUint(p.src[p.pos+2:end], 16, 32)
	if err != nil || n > maxRune || 0xD800 <= n && n <= 0xDFFF {
		return 0, fmt.Errorf("escape %q is no character", p.src[p.pos:end])
	}
	p.pos = end
	return rune(n), nil
}

func (p *gbnf) name() string {
	start := p.pos
	for p.pos < len(p.src) && isNameByte(p.src[p.pos]) {
		p.pos++
	}
	return p.src[start:p.pos]
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// space skips blanks and comments, and ends of lines if lines.
func (p *gbnf) space(lines bool) {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			p.pos++
		case c == '#':
			n := strings.IndexAny(p.rest(), "\r\n")
			if n < 0 {
				n = len(p.rest())
			}
			p.pos += n
		default:
			return
		}
	}
}

func (p *gbnf) take(s string) bool {
	if !strings.HasPrefix(p.rest(), s) {
		return false
	}
	p.pos += len(s)
	return true
}

func (p *gbnf) rest() string { return p.src[p.pos:] }
