package forms

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
)

// conversations is the file in ChatGPT's export that holds what was said.
const conversations = "conversations.json"

// A ZIP may unpack to so many times its size: conversations shrink to a fifth or
// a tenth, and what shrinks far more is made to fill memory or time. Small ones
// may grow to archiveFloor bytes all the same.
const (
	maxGrowth    = 100
	archiveFloor = 16 << 20
)

// archiveSource reads the conversations in a ZIP of ChatGPT's export.
type archiveSource struct {
	source
	entry *growing
	size  int64 // of the ZIP
}

func openArchive(f file) (source, error) {
	z, err := zip.NewReader(f, f.Size())
	if err != nil {
		return nil, fmt.Errorf("the ZIP is damaged: %w", err)
	}
	var found *zip.File
	for _, entry := range z.File {
		if path.Base(entry.Name) != conversations {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the ZIP holds %q and %q, want one", found.Name, entry.Name)
		}
		found = entry
	}
	switch {
	case found == nil:
		return nil, fmt.Errorf("the ZIP holds no %s: it is no export of ChatGPT", conversations)
	case found.Flags&1 != 0:
		return nil, fmt.Errorf("%s in the ZIP is encrypted: unpack it first", conversations)
	}
	r, err := found.Open() // holds nothing that had to be closed: all of it is in f
	if err != nil {
		return nil, fmt.Errorf("%s in the ZIP: %w", conversations, err)
	}
	s := &archiveSource{size: f.Size(), entry: &growing{r: r, whole: int64(min(found.UncompressedSize64, 1<<62)),
		limit: max(archiveFloor, maxGrowth*min(int64(min(found.CompressedSize64, 1<<62)), f.Size()))}}
	s.source, err = openText(s.entry)
	return s, err
}

func (s *archiveSource) offset() int64 {
	return int64(float64(s.size) * float64(s.entry.read) / float64(max(s.entry.whole, 1)))
}

// growing fails when more than limit bytes come out of an entry.
type growing struct {
	r                  io.Reader
	read, whole, limit int64
}

var errGrows = errors.New("it unpacks to more than a hundred times its size, which no export does")

func (g *growing) Read(p []byte) (int, error) {
	if g.read >= g.limit {
		return 0, errGrows
	}
	n, err := g.r.Read(p)
	g.read += int64(n)
	return n, err
}
