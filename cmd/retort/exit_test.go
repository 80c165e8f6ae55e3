package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"retort/dataset"
	"retort/dataset/socket"
)

func TestParts_splitsJoinedErrorsAlone(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	for _, tc := range []struct {
		err  error
		want []string
	}{
		{a, []string{"a"}},
		{errors.Join(a, b), []string{"a", "b"}},
		{errors.Join(errors.Join(a, nil), b), []string{"a", "b"}},
		{fmt.Errorf("read: %w: %w", a, b), []string{"read: a: b"}},
		{errors.Join(fmt.Errorf("x: %w", errors.Join(a, b)), a), []string{"x: a\nb", "a"}},
	} {
		var got []string
		for _, e := range parts(tc.err) {
			got = append(got, e.Error())
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("parts of %q are %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestReport_storeOfAnotherProcess(t *testing.T) {
	for hint, err := range map[string]error{
		"does not answer":      fmt.Errorf("open store: %w", dataset.ErrBusy),
		"use the same version": fmt.Errorf("open store: %w: %w", dataset.ErrBusy, socket.ErrProtocol),
	} {
		var said bytes.Buffer
		p := &program{stderr: &said}
		if code := p.report(t.Context(), err); code != exitBusy || !strings.Contains(said.String(), "\nhint: ") || !strings.Contains(said.String(), hint) {
			t.Errorf("%v: exit status %d, said %q", err, code, said.String())
		}
	}
}
