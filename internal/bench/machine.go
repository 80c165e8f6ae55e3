package bench

import "runtime"

// Machine is what the figures were taken on.
type Machine struct {
	CPU       string            `json:"cpu"`
	Cores     int               `json:"cores"` // that this process may use
	Memory    int64             `json:"memory_bytes"`
	System    string            `json:"system"` // "linux/amd64 6.1.0"
	LoadStart string            `json:"load_average_start,omitempty"`
	LoadEnd   string            `json:"load_average_end,omitempty"`
	Versions  map[string]string `json:"versions"` // of both sides
}

// ReadMachine says what this machine is; what the system does not tell is left
// empty.
func ReadMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Versions: map[string]string{}}
	m.describe()
	return m
}

// End notes what there is to note when the work is done.
func (m *Machine) End() { m.LoadEnd = loadAverage() }
