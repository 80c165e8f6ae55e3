package dataset

// Filter chooses examples. Its zero value chooses all of them.
type Filter struct {
	TaskType   string  // "" is any
	MinQuality float64 // QualityScore at least this
	Split      Split   // "" is both
	Kind       string  // of the Source; "" is any
	Limit      int     // the oldest so many; 0 is no limit
}

func (f Filter) match(ex Example) bool {
	return (f.TaskType == "" || f.TaskType == ex.TaskType) &&
		ex.QualityScore >= f.MinQuality &&
		(f.Split == "" || f.Split == ex.Split) &&
		(f.Kind == "" || f.Kind == ex.Source.Kind)
}
