package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/internal/bench"
)

// TestWriteRows_isWhatTheStoreKeeps: peers write the bytes that the store writes.
func TestWriteRows_isWhatTheStoreKeeps(t *testing.T) {
	const n = ingestBatch + 50
	rows := filepath.Join(t.TempDir(), "rows")
	if err := writeRows(t.Context(), rows, 7, n); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	err = inStore(t.TempDir(), func(s *dataset.Store) error {
		if _, err := (benchStep{seed: 7, examples: n}).ingest(t.Context(), s); err != nil {
			return err
		}
		_, err := forms.Write(t.Context(), &got, forms.Options{Form: forms.Retort}, s.All(t.Context(), dataset.Filter{}))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the store keeps\n%.2000s\nthe peers\n%.2000s", got.Bytes(), want)
	}
	if size := len(want) / n; size < 900 || size > 1150 {
		t.Errorf("an example takes %d bytes, want about 1 KiB", size)
	}
	var again []byte
	var sizes []int
	for batch, err := range rowBatches(t.Context(), rows) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(batch))
		for _, row := range batch {
			again = append(append(again, row...), '\n')
		}
	}
	if !bytes.Equal(again, want) || !slices.Equal(sizes, []int{ingestBatch, 50}) {
		t.Errorf("read in batches of %v", sizes)
	}
}

func TestRowBatches_ofNoFile(t *testing.T) {
	for _, err := range rowBatches(t.Context(), filepath.Join(t.TempDir(), "none")) {
		if !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestWriteTexts_repeatsEveryFifth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts")
	if err := writeTexts(t.Context(), path, 1, 100); err != nil {
		t.Fatal(err)
	}
	values, err := stepNear(t.Context(), benchStep{rows: path})
	if err != nil || values["found"] != 20 {
		t.Errorf("%v, %v; want 20 found", values, err)
	}
	text, _ := os.ReadFile(path)
	if lines := strings.Count(string(text), "\n"); lines != 100 {
		t.Errorf("%d lines", lines)
	}
}

func TestCheckDisk(t *testing.T) {
	if _, known, _ := bench.ReadDisk(t.TempDir()); !known {
		t.Skip("this system does not tell of its disks")
	}
	if err := checkDisk(t.TempDir(), 1<<40, true); !errors.Is(err, dataset.ErrNoSpace) {
		t.Errorf("too little space: %v", err)
	}
	if d, known, err := bench.ReadDisk("/dev/shm"); err == nil && known && d.RAM && d.Free > diskBeside+diskPerExample {
		if err := checkDisk("/dev/shm", 1, false); err == nil || !strings.Contains(err.Error(), "kept in memory") {
			t.Errorf("a disk in memory: %v", err)
		}
		if err := checkDisk("/dev/shm", 1, true); err != nil {
			t.Errorf("by force: %v", err)
		}
	}
}
