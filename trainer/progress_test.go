package trainer

import (
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestRun_Progress_skipsWhatIsCutOff(t *testing.T) {
	r, err := Prepare(t.Context(), t.TempDir(), testSpec())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Progress(); err != nil || got != nil {
		t.Errorf("before the training: %v, %v", got, err)
	}
	lines := `{"event":"stage","stage":"train","time":1763884800.5}
{"event":"step","step":1,"steps":3,"epoch":0.33,"loss":1.5,"learning_rate":0.0005,"tokens":90,"seconds":2.5}
{"event":"step","step":2,"ste`
	if err := os.WriteFile(r.path("progress.jsonl"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []Progress{
		{Event: EventStage, Stage: StageTrain},
		{Event: EventStep, Step: 1, Steps: 3, Epoch: 0.33, Loss: 1.5, LearningRate: 0.0005, Tokens: 90, Seconds: 2.5},
	}
	got, err := r.Progress()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func FuzzEachLine(f *testing.F) {
	f.Add("a\r\nb\n\nlast")
	f.Add(strings.Repeat("x", maxLine) + "\n" + strings.Repeat("y", maxLine+1) + "\nz")
	f.Fuzz(func(t *testing.T, in string) {
		collect := func(read func(f func([]byte, bool)) error) (lines []string) {
			if err := read(func(line []byte, cut bool) {
				if len(line) > maxLine {
					t.Errorf("a line of %d bytes, cut %t", len(line), cut)
				}
				lines = append(lines, string(line))
			}); err != nil {
				t.Fatal(err)
			}
			return lines
		}
		whole := collect(func(f func([]byte, bool)) error { return eachLine(strings.NewReader(in), f) })
		pieces := collect(func(f func([]byte, bool)) error { return eachLine(iotest.OneByteReader(strings.NewReader(in)), f) })
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Errorf("whole and byte by byte differ:\n%s", diff)
		}
		want := strings.Split(strings.TrimSuffix(in, "\n"), "\n")
		if in != "" && len(whole) != len(want) {
			t.Errorf("%d lines, want %d", len(whole), len(want))
		}
	})
}
