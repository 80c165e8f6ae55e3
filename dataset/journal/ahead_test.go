package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func segment(t *testing.T, dir string, number int) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, segmentName(number)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Zeros follow the groups while the journal is open, and after a kill. They are no
// part of it, and nothing is behind a footer.
func TestJournal_zerosFollowTheGroups(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	killed := mustOpen(t, dir, 4000)
	want := fill(t, killed, 40)
	last := segment(t, dir, killed.number)
	if end := int(killed.size); len(last)-end < small || len(bytes.Trim(last[end:], "\x00")) > 0 {
		t.Errorf("%d bytes follow the groups, or they are not zeros", len(last)-end)
	}
	same(t, whole(t, dir), want)
	if torn, err := Torn(dir); torn || err != nil {
		t.Errorf("Torn = %t, %v", torn, err)
	}
	j := mustOpen(t, dir, 4000)
	same(t, whole(t, dir), want)
	want = append(want, fill(t, j, 20)...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j.number < 4 {
		t.Fatalf("%d segments, want some", j.number)
	}
	for n := 1; n <= j.number; n++ {
		if raw := segment(t, dir, n); bytes.IndexByte(raw, 0) >= 0 || raw[len(raw)-1] != '\n' {
			t.Errorf("segment %d of the closed journal has zeros", n)
		}
	}
	same(t, whole(t, dir), want)
}

// Large groups bring no zeros with them, and use up those that are there.
func TestJournal_largeAmongSmallGroups(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, maxSegment)
	want := fill(t, j, 2)
	for _, size := range []int{small / 2, 3 * small, ahead + 5, 10, ahead - small, 2 * ahead, 10} {
		e := Entry{Change: j.Last() + 1, Position: 1, Data: []byte(`"` + string(bytes.Repeat([]byte("x"), size)) + `"`)}
		if err := j.Append([]Entry{e}); err != nil {
			t.Fatal(err)
		}
		want = append(want, e)
		if info, err := j.f.Stat(); err != nil || info.Size() != j.room || j.room < j.size {
			t.Fatalf("%d bytes of groups, a file of %d, for which %d are taken; %v", j.size, info.Size(), j.room, err)
		}
		same(t, whole(t, dir), want)
	}
}

// A power cut may leave any page of the last group unwritten.
func TestOpen_dropsAGroupWithHoles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, maxSegment)
	want := fill(t, j, 4)
	before := j.size
	group := entries(int(j.Last())+1, 7)
	if err := j.Append(group); err != nil {
		t.Fatal(err)
	}
	end := j.size
	raw := segment(t, dir, 1)[:end+100] // fewer zeros are written faster
	path := filepath.Join(dir, segmentName(1))
	for from := before; from < end; from += 13 {
		for to := from + 7; to <= end; to += 31 {
			holed := slices.Clone(raw)
			clear(holed[from:to])
			if err := os.WriteFile(path, holed, 0o600); err != nil {
				t.Fatal(err)
			}
			same(t, whole(t, dir), want)
			if torn, err := Torn(dir); torn == (from == before && to == end) || err != nil {
				t.Fatalf("without bytes %d to %d: Torn = %t, %v", from, to, torn, err)
			}
		}
	}
	again := mustOpen(t, dir, maxSegment)
	more := fill(t, again, 3)
	same(t, whole(t, dir), append(want, more...))
}

// A hole where others follow is damage. Of the group right behind it nobody can tell
// whether it was part of it; another one settles that.
func TestRead_findsAHole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, maxSegment)
	fill(t, j, 4)
	from := j.size
	fill(t, j, 1)
	to := j.size
	fill(t, j, 2)
	raw := segment(t, dir, 1)
	clear(raw[from:to])
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, damage := collect(t, Read(t.Context(), dir)); len(damage) == 0 {
		t.Error("a hole between two groups was not found")
	}
	if _, err := Open(dir); err == nil {
		t.Error("a journal with a hole was opened")
	}
}
