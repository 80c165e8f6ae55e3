// Package ensemble asks several models at once and makes one answer of what
// they say, with a measure of how sure it is.
//
// Make the members, then ask:
//
//	e, err := ensemble.New(ensemble.Consensus, members...)
//	outcome, err := e.Query(ctx, req)
//
// Options add judges, a budget, a time limit and calibrated confidence; Strategies
// lists the ways of deciding. Skills learn from outcomes how often each member is
// right. An Ensemble is itself an llm.Model, so it can stand wherever a model can.
//
// Reading order: plans.go (what each strategy does), gather.go (asking, and
// stopping early), decide.go (votes).
package ensemble
