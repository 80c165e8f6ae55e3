// Package routing knows which model is good at what: Classify finds out what kind
// of task a question is, and Skills learn from outcomes and ratings how often each
// model is right on that kind.
package routing
