package llamacpp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
		return 0, errors.New("it ends within quotes or brackets")
	}
	if p.src[p.pos] != '\\' {
		r, n := utf8.DecodeRuneInString(p.src[p.pos:])
		if r == utf8.RuneError && n == 1 {
			return 0, errors.New("text that is not UTF-8")
		}
		p.pos += n
		return r, nil
	}
	if p.pos+1 >= len(p.src) {
		return 0, errors.New("it ends within an escape")
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
		return 0, errors.New("it ends within an escape")
	}
	n, err := strconv.ParseUint(p.src[p.pos+2:end], 16, 32)
	if err != nil || n > maxRune || 0xD800 <= n && n <= 0xDFFF {
		return 0, fmt.Errorf("escape %q is no character", p.src[p.pos:end])
	}
	p.pos = end
	return rune(n), nil
}
