package dataset

import (
	"bytes"
	"encoding/json"
)

// gone is what stands at the position of an example that is there no more. It
// says nothing of the example, not even its ID.
type gone struct {
	Why goneWhy `json:"gone"`
}

type goneWhy string

const (
	forgotten goneWhy = "forgotten" // by its owner's wish
	lost      goneWhy = "lost"      // damaged in every place where it was kept
)

// gonePrefix begins the encoding of a gone, and of no Example.
var gonePrefix = []byte(`{"gone":`)

func (g gone) encode() []byte {
	raw, err := json.Marshal(g)
	if err != nil {
		panic(err) // a string always encodes
	}
	return raw
}

// isGone reports whether s is all that is left of an example.
func (s stored) isGone() bool { return isGone(s.payload) }

func isGone(payload []byte) bool { return bytes.HasPrefix(payload, gonePrefix) }
