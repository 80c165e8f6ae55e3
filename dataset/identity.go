package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"retort/llm"
)

// Domains keep the two digests apart from each other, and from any other use of
// SHA-256. Changing either changes the identity or the split of every example.
const (
	identityDomain = "retort example v1\n"
	splitDomain    = "retort split v1\n"
)

const idPrefix = "sha256:"

// heldOutOneIn is the share of examples that are never trained on: one in ten.
const heldOutOneIn = 10

// Identify returns ex with the ID and the Split that its content gives it.
//
// The ID is "sha256:" and the hex digest of identityDomain followed by netstrings
// (decimal length, ":", the bytes, ","): role and content of each message, then
// the response. Two examples with the same conversation are the same example,
// whatever their quality or source.
//
// What else a message carries follows its content, each behind its name:
// "image", media type and bytes; "tool_call", ID, name and arguments;
// "tool_call_id" and the ID.
//
// The Split depends on the messages alone, through a digest over their
// normalised text (see normalise), so that an example and a near copy of its
// question are never on both sides.
func Identify(ex Example) Example {
	ex.ID = idPrefix + hex.EncodeToString(identity(ex))
	ex.Split = splitOf(ex)
	return ex
}

func identity(ex Example) []byte {
	h := sha256.New()
	io.WriteString(h, identityDomain)
	for _, m := range ex.Messages {
		netstring(h, string(m.Role))
		netstring(h, m.Content)
		attachments(h, m)
	}
	netstring(h, ex.Response)
	return h.Sum(nil)
}

func attachments(h hash.Hash, m llm.Message) {
	for _, img := range m.Images {
		netstring(h, "image")
		netstring(h, img.MediaType)
		netstring(h, string(img.Data))
	}
	for _, call := range m.ToolCalls {
		netstring(h, "tool_call")
		netstring(h, call.ID)
		netstring(h, call.Name)
		netstring(h, string(canonical(call.Arguments)))
	}
	if m.ToolCallID != "" {
		netstring(h, "tool_call_id")
		netstring(h, m.ToolCallID)
	}
}

// canonical is the form in which a store gives JSON back: without white space
// between its parts. What is no JSON stays as it is.
func canonical(raw json.RawMessage) []byte {
	if out, err := json.Marshal(raw); err == nil {
		return out
	}
	return raw
}

func splitOf(ex Example) Split {
	h := sha256.New()
	io.WriteString(h, splitDomain)
	for _, m := range ex.Messages {
		netstring(h, string(m.Role))
		netstring(h, normalise(m.Content))
	}
	if binary.BigEndian.Uint64(h.Sum(nil))%heldOutOneIn == 0 {
		return SplitHeldOut
	}
	return SplitTrain
}

func netstring(h hash.Hash, s string) {
	fmt.Fprintf(h, "%d:%s,", len(s), s)
}

// normalise keeps the letters and digits of text, in lower case and without
// accents, and puts one space wherever something else stood between them.
func normalise(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, r): // an accent, taken off its letter by NFKD
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(unicode.ToLower(r))
		default:
			gap = true
		}
	}
	return b.String()
}
