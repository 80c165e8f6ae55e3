package main

// pythonInVenv is where a virtual environment has its interpreter.
const pythonInVenv = `Scripts\python.exe`
