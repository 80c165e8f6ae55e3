package main

import "github.com/rogpeppe/go-internal/testscript"

func interrupt(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("interrupt: not on Windows") }
func awaitCmd(ts *testscript.TestScript, _ bool, _ []string)  { ts.Fatalf("await: not on Windows") }
func hold(ts *testscript.TestScript, _ bool, _ []string)      { ts.Fatalf("hold: not on Windows") }
func release(ts *testscript.TestScript, _ bool, _ []string)   { ts.Fatalf("release: not on Windows") }
