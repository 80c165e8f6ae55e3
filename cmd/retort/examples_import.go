package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/forms"
)

func importCommand() *cli.Command {
	return &cli.Command{Name: "import", Usage: "read examples from a file", ArgsUsage: "FILE",
		Description: "FILE is - for standard input: JSON lines, or one JSON list. What is stored already is not stored twice, so an\n" +
			"import that was broken off is simply done again. Items that cannot be used are named and left out; the exit\n" +
			"status is then 3.\n\n" + formatHelp(forms.Readable()) + "\n\n  retort examples import conversations.json --task-type general --bad-lines bad.jsonl",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: string(forms.Auto), Usage: "form of the file: one of the above"},
			&cli.StringFlag{Name: "bad-lines", Usage: "keep what cannot be used in this `FILE`"},
			&cli.Float64Flag{Name: "quality", Value: 0.9, Usage: "how good they are, 0 to 1; the formats retort and parquet say it themselves"},
			&cli.StringFlag{Name: "task-type", Value: "general", Usage: "what kind of `TASK` they are; the formats retort and parquet say it themselves"},
		}}
}

type importView struct {
	File    string     `json:"file"`
	Format  forms.Form `json:"format"`
	Read    int        `json:"read"`
	Stored  int        `json:"stored"`
	Already int        `json:"already_there"`
	Bad     []string   `json:"bad_lines"`
}

// importing is one import on its way.
type importing struct {
	r     *retort
	into  putBatch
	plain dataset.Example // quality, task type and file name of each example
	aside io.Writer       // for bad items
	view  importView
}

func runExamplesImport(ctx context.Context, c *cli.Context, r *retort) (err error) {
	form, err := exchangeFormat(c, forms.Readable())
	if err != nil {
		return err
	}
	path := c.Args().First()
	in, size, err := openInput(ctx, path, r.p.stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	plain := dataset.Example{QualityScore: c.Float64("quality"), TaskType: c.String("task-type")}
	if _, err := r.given(plain); err != nil {
		return err
	}
	plain.Source.Name = filepath.Base(path)
	aside, err := openAside(c.String("bad-lines"), path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, aside.Close()) }()
	store, err := r.store()
	if err != nil {
		return err
	}
	defer boundMemory()()
	bar := r.bar("Importing "+filepath.Base(path), size, "B")
	defer bar.end(&err)
	im := importing{r: r, into: putBatch{store: store}, plain: plain, aside: aside, view: importView{File: path, Bad: []string{}}}
	reader := forms.NewReader(in, form)
	for ex, err := range reader.All() {
		bar.set(reader.Offset())
		if err := im.take(ctx, reader.Form(), ex, err); err != nil {
			return fmt.Errorf("import %q: %w", path, err)
		}
	}
	if err := im.into.flush(ctx); err != nil {
		return fmt.Errorf("import %q: %w", path, err)
	}
	im.view.Stored, im.view.Already = im.into.stored, im.into.given-im.into.stored
	im.view.Format = reader.Form()
	return r.reportImport(im.view)
}

// take stores an example, or keeps a bad item aside.
func (im *importing) take(ctx context.Context, form forms.Form, ex dataset.Example, err error) error {
	if ctx.Err() != nil { // the item may be bad because its end did not come
		return ctx.Err()
	}
	var item *forms.ItemError
	if errors.As(err, &item) {
		im.view.Bad = append(im.view.Bad, item.Error())
		if item.Raw != nil {
			_, err = im.aside.Write(append(item.Raw, '\n'))
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	if form != forms.Retort && form != forms.Parquet {
		ex.QualityScore, ex.TaskType, ex.Source.Name = im.plain.QualityScore, im.plain.TaskType, im.plain.Source.Name
		ex = im.r.scored(ex)
	}
	im.view.Read++
	return im.into.add(ctx, ex)
}

// shownBad is how many bad items are named for people; --json names all.
const shownBad = 20

func (r *retort) reportImport(v importView) error {
	if v.Read > 0 || len(v.Bad) == 0 {
		r.printf("✅ Imported %d examples (%d new, %d already there)\n", v.Read, v.Stored, v.Already)
	}
	for _, b := range v.Bad[:min(len(v.Bad), shownBad)] {
		r.note("left out: %s", b)
	}
	if n := len(v.Bad) - shownBad; n > 0 {
		r.note("left out: %d more", n)
	}
	if err := r.object(v); err != nil {
		return err
	}
	if len(v.Bad) > 0 {
		return partial("import %q: %d lines could not be used", v.File, len(v.Bad))
	}
	return nil
}

// openAside makes the file for bad items; without a path they go nowhere.
func openAside(path, input string) (io.WriteCloser, error) {
	if path == "" {
		return discard{io.Discard}, nil
	}
	if a, err := os.Stat(path); err == nil {
		if b, err := os.Stat(input); err == nil && os.SameFile(a, b) {
			return nil, usage("--bad-lines %q is the file that is imported", path)
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// openInput opens a file, or standard input. The size is -1 where it is not known
// beforehand.
func openInput(ctx context.Context, path string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if path == "-" {
		return interruptible(ctx, stdin), -1, nil
	}
	f, err := openPatiently(ctx, path, os.O_RDONLY)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = usage("%q is a folder, want a file", path)
	case info.Mode().IsRegular(): // tables and archives are read at any place
		return sizedFile{io.NewSectionReader(f, 0, info.Size()), f}, info.Size(), nil
	default:
		return struct {
			io.Reader
			io.Closer
		}{interruptible(ctx, f), f}, -1, nil
	}
	return nil, 0, errors.Join(err, f.Close())
}

// sizedFile is a file of known size.
type sizedFile struct {
	*io.SectionReader
	io.Closer
}
