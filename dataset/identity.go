package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"unicode"
	"unicode/utf8"

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
// normalised text (see appendNormalised), so that an example and a near copy of its
// question are never on both sides.
func Identify(ex Example) Example {
	ex, _ = identify(ex)
	return ex
}

// identify also returns the digest that the ID shows.
func identify(ex Example) (Example, []byte) {
	digest := identity(ex)
	ex.ID = idPrefix + hex.EncodeToString(digest)
	ex.Split = splitOf(ex)
	return ex, digest
}

func identity(ex Example) []byte {
	var room [usualText]byte
	b := append(room[:0], identityDomain...)
	for _, m := range ex.Messages {
		b = appendNetstring(b, string(m.Role))
		b = appendNetstring(b, m.Content)
		b = appendAttachments(b, m)
	}
	digest := sha256.Sum256(appendNetstring(b, ex.Response))
	return digest[:]
}

func appendAttachments(b []byte, m llm.Message) []byte {
	for _, img := range m.Images {
		b = appendNetstring(b, "image")
		b = appendNetstring(b, img.MediaType)
		b = appendNetstring(b, img.Data)
	}
	for _, call := range m.ToolCalls {
		b = appendNetstring(b, "tool_call")
		b = appendNetstring(b, call.ID)
		b = appendNetstring(b, call.Name)
		b = appendNetstring(b, canonical(call.Arguments))
	}
	if m.ToolCallID != "" {
		b = appendNetstring(b, "tool_call_id")
		b = appendNetstring(b, m.ToolCallID)
	}
	return b
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
	var room, words [usualText]byte
	b, text := append(room[:0], splitDomain...), words[:0]
	for _, m := range ex.Messages {
		text = appendNormalised(text[:0], m.Content)
		b = appendNetstring(b, string(m.Role))
		b = appendNetstring(b, text)
	}
	digest := sha256.Sum256(b)
	if binary.BigEndian.Uint64(digest[:])%heldOutOneIn == 0 {
		return SplitHeldOut
	}
	return SplitTrain
}

// usualText is how many bytes of text most examples do not exceed: so many are
// digested without a place on the heap.
const usualText = 2 << 10

func appendNetstring[T string | []byte](b []byte, text T) []byte {
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, ':')
	b = append(b, text...)
	return append(b, ',')
}

// appendNormalised keeps the letters and digits of text, in lower case and without
// accents, and puts one space wherever something else stood between them.
func appendNormalised(b []byte, text string) []byte {
	start, gap := len(b), false
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf: // begin again: an accent belongs to the letter before it
			return appendNormalisedRunes(b[:start], text)
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			gap = true
			continue
		}
		if gap && len(b) > start {
			b = append(b, ' ')
		}
		gap = false
		b = append(b, c)
	}
	return b
}

// appendNormalisedRunes is appendNormalised for any text.
func appendNormalisedRunes(b []byte, text string) []byte {
	start, gap := len(b), false
	for _, r := range norm.NFKD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, r): // an accent, taken off its letter by NFKD
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			if gap && len(b) > start {
				b = append(b, ' ')
			}
			gap = false
			b = utf8.AppendRune(b, unicode.ToLower(r))
		default:
			gap = true
		}
	}
	return b
}
