package llamacpp

import (
	"strings"
	"unicode/utf8"
)

// utf8Gate turns the bytes of tokens into text that never ends within a UTF-8
// sequence. Bytes that are none become U+FFFD.
type utf8Gate struct {
	held []byte // the beginning of a sequence
}

// add returns the text that is complete with piece.
func (g *utf8Gate) add(piece string) string {
	b := append(g.held, piece...)
	cut := len(b) - incomplete(b)
	text := strings.ToValidUTF8(string(b[:cut]), "\uFFFD")
	g.held = append(g.held[:0], b[cut:]...)
	return text
}

// rest returns what was held back, once no more bytes come.
func (g *utf8Gate) rest() string {
	text := strings.ToValidUTF8(string(g.held), "\uFFFD")
	g.held = g.held[:0]
	return text
}

// incomplete returns how many bytes at the end of b begin a sequence that more
// bytes could complete.
func incomplete(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		tail := b[len(b)-n:]
		if utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
