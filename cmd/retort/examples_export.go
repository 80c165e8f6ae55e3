package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/dataset"
	"retort/dataset/clean"
	"retort/dataset/forms"
	"retort/internal/files"
)

func exportCommand(flags []cli.Flag) *cli.Command {
	return &cli.Command{Name: "export", Usage: "write examples to a file", ArgsUsage: "FILE",
		Description: "FILE is - for standard output. What a format cannot hold is left out and counted, and so is what a\n" +
			"provider's terms keep out until config.yaml allows it, and what holds a key, a password or personal data:\n" +
			"`retort examples select --dry-run` says which, --include-quarantined writes it all the same.\n\n" +
			formatHelp(forms.Writable()) + "\n\n  retort examples export train.jsonl --format openai --min-quality 0.8",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "format", Value: string(forms.OpenAI), Usage: "form of the file: one of the above"},
			&cli.BoolFlag{Name: "include-quarantined", Usage: "write also what holds secrets or personal data, and look for none"},
		}, flags...)}
}

// aboutForms says in a line what each form is.
var aboutForms = map[forms.Form]string{
	forms.Auto:      "found out from the first line",
	forms.Retort:    "everything that the store knows, for another store",
	forms.OpenAI:    "messages, for OpenAI's fine-tuning and most others",
	forms.TRLSFT:    "messages, for TRL's SFTTrainer",
	forms.TRLPrompt: "prompt and completion, for TRL's SFTTrainer",
	forms.TRLDPO:    "prompt, chosen and rejected, for TRL's DPOTrainer",
	forms.TRLKTO:    "prompt, completion and label, for TRL's KTOTrainer",
	forms.ShareGPT:  "conversations of from and value",
	forms.Alpaca:    "instruction, input and output",
	forms.Parquet:   "a table, of Hugging Face datasets",
	forms.ChatGPT:   "ChatGPT's data export: the ZIP, or its conversations.json",
	forms.OpenWebUI: "the export of Open WebUI's feedback",
}

func formatHelp(list []forms.Form) string {
	var lines []string
	for _, f := range list {
		lines = append(lines, fmt.Sprintf("  %-15s %s", f, aboutForms[f]))
	}
	return strings.Join(lines, "\n")
}

// exchangeFormat checks the command line that export and import share.
func exchangeFormat(c *cli.Context, known []forms.Form) (forms.Form, error) {
	form, err := forms.Find(c.String("format"), known)
	if err != nil {
		return "", usage("%v", err)
	}
	if c.NArg() != 1 {
		return "", usage("examples %s wants one FILE", c.Command.Name)
	}
	return form, nil
}

type exportedExamples struct {
	File        string               `json:"file"`
	Format      forms.Form           `json:"format"`
	Examples    int                  `json:"examples"`    // lines or rows
	LeftOut     map[string]int       `json:"left_out"`    // examples, by reason
	Restricted  int                  `json:"restricted"`  // examples that their teachers' terms keep here
	Quarantined map[clean.Reason]int `json:"quarantined"` // examples, by what they hold
}

func runExamplesExport(ctx context.Context, c *cli.Context, r *retort) error {
	form, err := exchangeFormat(c, forms.Writable())
	if err != nil {
		return err
	}
	filter, err := exampleFilter(c)
	if err != nil {
		return err
	}
	path := c.Args().First()
	if path == "-" && r.asJSON {
		return usage("--json and FILE - both want standard output")
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	defer boundMemory()()
	if path != "-" && !isStream(path) {
		copied, err := r.copying(ctx)
		if err != nil {
			return err
		}
		defer copied()
	}
	out, err := r.outgoingIn(form, c.Bool("include-quarantined"))
	if err != nil {
		return err
	}
	record := newExport(path, form, c.Float64("margin"))
	counts, err := r.export(ctx, record, out.only(store.All(ctx, filter)))
	if err != nil {
		return fmt.Errorf("export %q: %w", path, err)
	}
	if path != "-" {
		if !isStream(path) { // first: writing to a pipe that nobody reads ends the process
			r.keepExport(record)
		}
		r.printf("✅ Exported %d %s to %s\n", counts.Written, unitOf(form), path)
	}
	restricted, quarantined := out.count()
	r.noteLeft(counts.LeftOut, restricted, quarantined)
	return r.object(exportedExamples{path, form, counts.Written, counts.LeftOut, restricted, quarantined})
}

// export writes examples to the file of record, "-" for standard output, and notes
// in it which they are, and the digest of the file.
func (r *retort) export(ctx context.Context, record *exportRecord, examples iter.Seq2[dataset.Example, error]) (forms.Counts, error) {
	write := func(w io.Writer) (forms.Counts, error) {
		return forms.Write(ctx, w, forms.Options{Form: record.Format, Margin: record.Margin}, record.noting(examples))
	}
	if record.Path == "-" {
		return write(r.stdout)
	}
	sum := sha256.New()
	counts, err := exportFile(ctx, record.Path, func(w io.Writer) (forms.Counts, error) { return write(io.MultiWriter(w, sum)) })
	record.SHA256 = hex.EncodeToString(sum.Sum(nil)) // of what was written: another export may replace the file before it is recorded
	return counts, err
}

// noteLeft says what an export lacks, and why.
func (r *retort) noteLeft(leftOut map[string]int, restricted int, quarantined map[clean.Reason]int) {
	for _, reason := range slices.Sorted(maps.Keys(leftOut)) {
		r.note("left out %d: %s", leftOut[reason], reason)
	}
	if restricted > 0 {
		r.note("%d examples stay here: their teachers' terms are restricted; `retort examples select --dry-run` says which", restricted)
	}
	for _, reason := range slices.Sorted(maps.Keys(quarantined)) {
		r.note("left out %d: %s", quarantined[reason], map[clean.Reason]string{
			clean.Secret: "holds a key or password", clean.PersonalData: "holds personal data"}[reason])
	}
	if len(quarantined) > 0 {
		r.note("`retort examples select --dry-run` says which; --include-quarantined writes them all the same")
	}
}

// unitOf is what a line of a form holds.
func unitOf(form forms.Form) string {
	switch form {
	case forms.TRLDPO:
		return "pairs"
	case forms.TRLKTO:
		return "labelled answers"
	}
	return "examples"
}

// exportFile replaces path only when everything has been written. A stream is written to.
func exportFile(ctx context.Context, path string, write func(io.Writer) (forms.Counts, error)) (counts forms.Counts, err error) {
	if isStream(path) {
		f, err := openPatiently(ctx, path, os.O_WRONLY)
		if err != nil {
			return counts, err
		}
		counts, err = write(f)
		return counts, errors.Join(err, f.Close())
	}
	err = files.Replace(path, func(w io.Writer) error {
		counts, err = write(w)
		return err
	})
	return counts, err
}

// isStream reports whether path is a pipe or a device, and not a file that can be
// replaced.
func isStream(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}
