//go:build !windows

package main

// pythonInVenv is where a virtual environment has its interpreter.
const pythonInVenv = "bin/python"
