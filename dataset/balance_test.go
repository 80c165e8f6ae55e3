package dataset_test

import (
	"fmt"
	"slices"
	"testing"

	"retort/dataset"
)

func TestBalance(t *testing.T) {
	var in []dataset.Example
	add := func(response string, n int) {
		for i := range n {
			in = append(in, dataset.Example{Response: response, ID: fmt.Sprint(response, i), QualityScore: float64(i) / 10})
		}
	}
	add("often", 7)
	add("rare", 2)
	add("some", 3)
	var got []string
	for _, ex := range dataset.Balance(in) {
		got = append(got, ex.ID)
	}
	want := []string{"often6", "often5", "often4", "often3", "rare1", "rare0", "rare1", "rare0", "some2", "some1", "some0", "some2"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if out := dataset.Balance(nil); len(out) != 0 {
		t.Errorf("balanced nothing into %d examples", len(out))
	}
}
