//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

func smallDisk(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("smalldisk: only on Linux") }

func canMount() bool { return false }
