package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

// openLines opens a file of lines that is only ever added to, and gives take each
// whole line that is there. A last line that was cut short is removed. The file
// need not exist; it is left at its end.
func openLines(path string, take func(line []byte) error) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	end, err := readLines(f, take)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return f, nil
}

// readLines gives take all whole lines and returns where they end.
func readLines(in io.Reader, take func(line []byte) error) (end int64, err error) {
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		if err := take(line); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		end += int64(len(line))
	}
}

// durableFile is an *os.File, or what stands in for one in tests.
type durableFile interface {
	io.WriteCloser
	Sync() error
}

// addLine adds a line to f and returns once it is on disk.
func addLine(f durableFile, line []byte) error {
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	return f.Sync()
}
