package dataset_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"retort/dataset"
)

func TestPut_namesTheFirstAtFault(t *testing.T) {
	s := open(t, t.TempDir())
	batch := make([]dataset.Example, 1000)
	for i := range batch {
		batch[i] = newExample(i)
	}
	batch[998].Response, batch[700].Response, batch[501].Response = "", "", ""
	n, err := s.Put(t.Context(), batch...)
	if n != 0 || !errors.Is(err, dataset.ErrInvalid) || !strings.Contains(err.Error(), "example 502 of 1000") {
		t.Errorf("%d stored, %v", n, err)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Total != 0 {
		t.Errorf("%d are there, %v", st.Total, err)
	}
}

func TestPut_keepsTheOrder(t *testing.T) {
	s := open(t, t.TempDir())
	var batch []dataset.Example
	for i := range 777 {
		ex := newExample(i)
		ex.TaskType = fmt.Sprint(i)
		batch = append(batch, ex)
	}
	if n, err := s.Put(t.Context(), batch...); err != nil || n != len(batch) {
		t.Fatal(n, err)
	}
	i := 0
	for ex, err := range s.All(t.Context(), dataset.Filter{}) {
		if err != nil || ex.TaskType != fmt.Sprint(i) {
			t.Fatalf("%d: %q, %v", i, ex.TaskType, err)
		}
		i++
	}
}
