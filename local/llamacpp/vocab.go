package llamacpp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hybridgroup/yzma/pkg/llama"

	"retort/llm"
)

// vocab turns text into tokens and back.
type vocab struct {
	handle llama.Vocab
	size   int
	bos    int32 // noToken if the vocabulary has none
	eos    int32
	eot    int32 // end of turn; noToken if the vocabulary has none
	addBOS bool  // whether the model was trained with bos at the start

	pieces map[int32]string // of the scheduler's goroutine, as is
	index  *tokenIndex      // nil until it is needed
}

// tokenIndex returns the index of all tokens.
func (v *vocab) tokenIndex() *tokenIndex {
	if v.index == nil {
		v.index = newTokenIndex(v, v.size)
	}
	return v.index
}

// noToken stands for a special token that a vocabulary does not have.
const noToken = int32(llama.TokenNull)

func newVocab(model llama.Model) *vocab {
	h := llama.ModelGetVocab(model)
	return &vocab{
		handle: h,
		size:   int(llama.VocabNTokens(h)),
		bos:    int32(llama.VocabBOS(h)),
		eos:    int32(llama.VocabEOS(h)),
		eot:    int32(llama.VocabEOT(h)),
		addBOS: llama.VocabGetAddBOS(h),
		pieces: make(map[int32]string),
	}
}

// tokens returns the ids of text, in which the names of special tokens stand
// for these. No token is added.
func (v *vocab) tokens(text string) ([]int32, error) {
	if strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("%w: the text holds a zero byte", llm.ErrBadRequest)
	}
	if text == "" {
		return nil, nil
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	toks := llama.Tokenize(v.handle, text, false, true)
	ids := make([]int32, len(toks))
	for i, t := range toks {
		ids[i] = int32(t)
	}
	return ids, nil
}

// start returns ids with the token that the model wants at the start of a
// prompt, exactly once.
func (v *vocab) start(ids []int32) []int32 {
	if !v.addBOS || v.bos == noToken || len(ids) > 0 && ids[0] == v.bos {
		return slices.Clip(ids)
	}
	return slices.Concat([]int32{v.bos}, ids)
}

// endsAnswer reports whether token is one of those that end an answer.
func (v *vocab) endsAnswer(token int32) bool {
	return llama.VocabIsEOG(v.handle, llama.Token(token))
}

// endless is a vocabulary none of whose tokens ends an answer.
type endless struct{ *vocab }

func (endless) endsAnswer(int32) bool { return false }

// piece returns the bytes of a token, which may be part of a UTF-8 sequence;
// none for a control token.
func (v *vocab) piece(token int32) string {
	if s, ok := v.pieces[token]; ok {
		return s
	}
	s := v.bytes(token, false)
	v.pieces[token] = s
	return s
}

// name returns the text of a special token; "" for noToken.
func (v *vocab) name(token int32) string {
	if token == noToken {
		return ""
	}
	return v.bytes(token, true)
}

func (v *vocab) bytes(token int32, special bool) string {
	buf := make([]byte, 64)
	n := llama.TokenToPiece(v.handle, llama.Token(token), buf, 0, special)
	if n < 0 { // the size that is needed
		buf = make([]byte, -n)
		n = llama.TokenToPiece(v.handle, llama.Token(token), buf, 0, special)
	}
	return string(buf[:max(0, n)])
}
