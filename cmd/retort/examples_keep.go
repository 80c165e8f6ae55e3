package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"retort/dataset"
)

func fsckCommand() *cli.Command {
	return &cli.Command{Name: "fsck", Usage: "check every byte of the store, and repair it",
		Description: "Everything is kept twice: in the database, and in a journal of plain JSON lines. fsck reads both whole and\n" +
			"compares them. With --repair the store is written anew from what is intact of either. What is intact nowhere\n" +
			"is named, and the exit status is then 13.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "repair", Usage: "make good what is damaged"}}}
}

type fsckView struct {
	Examples uint64   `json:"examples"`
	Queries  uint64   `json:"queries"`
	Damage   []string `json:"damage"`
	Repaired bool     `json:"repaired"`
	Lost     []string `json:"lost"`
	Live     bool     `json:"live"` // looked at through the process that holds the store
}

func runExamplesFsck(ctx context.Context, c *cli.Context, r *retort) error {
	if err := r.closeStore(); err != nil {
		return err
	}
	report, err := dataset.Check(ctx, r.path("store"), dataset.CheckOptions{Repair: c.Bool("repair"),
		Stage: func(what string) { r.note("fsck: %s", what) }})
	if errors.Is(err, dataset.ErrBusy) {
		return r.fsckLive(ctx, c.Bool("repair"), err)
	}
	if err != nil {
		return err
	}
	view := fsckView{Examples: report.Examples, Queries: report.Queries, Damage: texts(report.Damage), Repaired: report.Repaired,
		Lost: append([]string{}, report.Lost...)}
	return r.reportFsck(view, damageLeft(report))
}

// fsckLive checks a store that another process holds, through that process: what
// it has open, but not what it would only read when it opens.
func (r *retort) fsckLive(ctx context.Context, repair bool, busy error) error {
	if repair {
		return withHint(busy, "repairing needs the store for itself: end the process that holds it (`retort doctor` names it)")
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	report, err := store.Verify(ctx)
	if err != nil {
		return err
	}
	r.note("fsck: another process holds the store: its journal and closed files were not looked at")
	view := fsckView{Examples: report.Examples, Queries: report.Queries, Damage: texts(report.Damage), Lost: []string{}, Live: true}
	return r.reportFsck(view, report.Err())
}

func texts(errs []error) []string {
	list := make([]string, len(errs))
	for i, err := range errs {
		list[i] = oneLine(err)
	}
	return list
}

// damageLeft is the error that the user gets: nil if everything is well now.
func damageLeft(report dataset.CheckReport) error {
	switch {
	case len(report.Lost) > 0:
		return fmt.Errorf("%w: %d examples are lost", dataset.ErrDamaged, len(report.Lost))
	case report.Err() != nil:
		return withHint(fmt.Errorf("%w in %d places", dataset.ErrDamaged, len(report.Damage)), "`retort examples fsck --repair` makes it good")
	}
	return nil
}

func (r *retort) reportFsck(v fsckView, left error) error {
	for _, text := range v.Damage {
		r.printf("  ✗ %s\n", text)
	}
	for _, name := range v.Lost {
		r.printf("  ✗ lost: %s\n", name)
	}
	switch {
	case v.Repaired:
		r.printf("🔧 Written anew from what is intact: %d examples, %d logged queries\n", v.Examples, v.Queries)
	case len(v.Damage) == 0:
		r.printf("✅ %d examples and %d logged queries are intact\n", v.Examples, v.Queries)
	}
	return errors.Join(r.object(v), left)
}

func backupCommand() *cli.Command {
	return &cli.Command{Name: "backup", Usage: "bring a backup file up to date", ArgsUsage: "FILE",
		Description: "FILE is made where there is none. The next time only what changed is added to it; after `examples forget` it is\n" +
			"written anew. Others may use the store meanwhile.\n\n  retort examples backup /media/usb/retort.backup"}
}

func runExamplesBackup(ctx context.Context, c *cli.Context, r *retort) error {
	if c.NArg() != 1 {
		return usage("examples backup wants one FILE")
	}
	store, err := r.store()
	if err != nil {
		return err
	}
	report, err := store.Backup(ctx, c.Args().First())
	if err != nil {
		return err
	}
	switch {
	case report.Whole:
		r.printf("💾 Wrote %d records (%.1f MB)\n", report.Records, float64(report.Bytes)/1e6)
	case report.Records == 0:
		r.printf("The backup is up to date (%.1f MB)\n", float64(report.Bytes)/1e6)
	default:
		r.printf("💾 Added %d records (%.1f MB in all)\n", report.Records, float64(report.Bytes)/1e6)
	}
	return r.object(report)
}

func restoreCommand() *cli.Command {
	return &cli.Command{Name: "restore", Usage: "bring back what a backup has", ArgsUsage: "FILE",
		Description: "Into an empty store everything comes back as it was, ratings and the log of queries too. Where there are examples\n" +
			"already, --merge adds those that are missing.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "merge", Usage: "add what is missing to the examples that are there"}}}
}

type restoreView struct {
	Examples int  `json:"examples"` // in the backup
	Stored   int  `json:"stored"`   // of them, new here
	Merged   bool `json:"merged"`
}

func runExamplesRestore(ctx context.Context, c *cli.Context, r *retort) error {
	if c.NArg() != 1 {
		return usage("examples restore wants one FILE")
	}
	path := c.Args().First()
	if c.Bool("merge") {
		return r.mergeBackup(ctx, path)
	}
	if err := r.closeStore(); err != nil {
		return err
	}
	n, err := dataset.Restore(ctx, r.path("store"), path)
	switch {
	case errors.Is(err, dataset.ErrNotEmpty):
		return withHint(err, "--merge adds what is missing; or restore into another data folder (--home)")
	case errors.Is(err, dataset.ErrBusy):
		return withHint(err, "end the process that holds the store (`retort doctor` names it)")
	case err != nil:
		return err
	}
	r.printf("✅ Restored %d examples\n", n)
	return r.object(restoreView{Examples: int(n), Stored: int(n)})
}

func (r *retort) mergeBackup(ctx context.Context, path string) error {
	store, err := r.store()
	if err != nil {
		return err
	}
	defer boundMemory()()
	into := putBatch{store: store}
	for ex, err := range dataset.ReadBackup(ctx, path) {
		if err == nil {
			err = into.add(ctx, ex)
		}
		if err != nil {
			return err
		}
	}
	if err := into.flush(ctx); err != nil {
		return err
	}
	view := restoreView{Examples: into.given, Stored: into.stored, Merged: true}
	r.printf("✅ Added %d of %d examples; the others were there\n", view.Stored, view.Examples)
	return r.object(view)
}
