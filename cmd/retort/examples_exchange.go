package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"retort/dataset"
)

func checkFormat(c *cli.Context) error {
	if f := c.String("format"); f != "openai" {
		return usage("unknown format %q (known: openai)", f)
	}
	if c.NArg() != 1 {
		return usage("examples %s wants one FILE", c.Command.Name)
	}
	return nil
}

func runExamplesExport(ctx context.Context, c *cli.Context, r *retort) error {
	if err := checkFormat(c); err != nil {
		return err
	}
	filter, err := exampleFilter(c)
	if err != nil {
		return err
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	path := c.Args().First()
	n, left := 0, 0
	examples := r.exportable(ctx, store, filter, &left)
	if path == "-" {
		if r.asJSON {
			return usage("--json and FILE - both want standard output")
		}
		n, err = dataset.WriteOpenAI(ctx, r.stdout, examples)
	} else {
		n, err = exportFile(ctx, path, examples)
	}
	if err != nil {
		return fmt.Errorf("export %q: %w", path, err)
	}
	if path != "-" {
		r.printf("✅ Exported %d examples to %s\n", n, path)
	}
	if left > 0 {
		r.note("%d examples stay here: their teachers' terms are restricted; `retort examples select --dry-run` says which", left)
	}
	return r.object(map[string]any{"file": path, "format": "openai", "examples": n, "restricted": left})
}

// exportFile replaces path only when everything has been written.
func exportFile(ctx context.Context, path string, examples iter.Seq2[dataset.Example, error]) (n int, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing of that name
	n, err = dataset.WriteOpenAI(ctx, f, examples)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return n, err
	}
	return n, os.Rename(f.Name(), path)
}

type importView struct {
	File    string   `json:"file"`
	Read    int      `json:"read"`
	Stored  int      `json:"stored"`
	Already int      `json:"already_there"`
	Bad     []string `json:"bad_lines"`
}

// importBatch is how many examples are made durable at a time.
const importBatch = 1000

func runExamplesImport(ctx context.Context, c *cli.Context, r *retort) (err error) {
	if err := checkFormat(c); err != nil {
		return err
	}
	path := c.Args().First()
	in, size, err := openInput(path, r.p.stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	store, err := r.store()
	if err != nil {
		return err
	}
	bar := r.bar("Importing "+filepath.Base(path), size, "B")
	defer bar.end(&err)
	view := importView{File: path, Bad: []string{}}
	var batch []dataset.Example
	flush := func() error {
		n, err := store.Put(ctx, batch...)
		view.Stored += n
		view.Already += len(batch) - n
		batch = batch[:0]
		return err
	}
	for ex, err := range dataset.ReadOpenAI(countingReader{in, bar}) {
		var line *dataset.LineError
		if errors.As(err, &line) {
			view.Bad = append(view.Bad, line.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("import %q: %w", path, err)
		}
		ex.QualityScore, ex.TaskType, ex.Source.Name = c.Float64("quality"), c.String("task-type"), filepath.Base(path)
		if ex, err = r.given(ex); err != nil {
			return err
		}
		view.Read++
		if batch = append(batch, ex); len(batch) == importBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return r.reportImport(view)
}

func (r *retort) reportImport(v importView) error {
	r.printf("✅ Imported %d examples (%d new, %d already there)\n", v.Read, v.Stored, v.Already)
	for _, b := range v.Bad {
		r.note("left out: %s", b)
	}
	if err := r.object(v); err != nil {
		return err
	}
	if len(v.Bad) > 0 {
		return partial("import %q: %d lines could not be used", v.File, len(v.Bad))
	}
	return nil
}

func openInput(path string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(stdin), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if info.IsDir() {
		f.Close()
		return nil, 0, usage("%q is a folder, want a file", path)
	}
	return f, info.Size(), nil
}

// countingReader moves a bar along as it is read.
type countingReader struct {
	io.Reader
	bar *bar
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bar.add(int64(n))
	return n, err
}
