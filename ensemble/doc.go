// Package ensemble asks several models at once and makes one answer of what
// they say, with a measure of how far they agree.
//
// Make the members, then ask:
//
//	e, err := ensemble.New(ensemble.Consensus, members...)
//	outcome, err := e.Query(ctx, req)
//
// An Ensemble is itself an llm.Model, so it can stand wherever a model can.
package ensemble
