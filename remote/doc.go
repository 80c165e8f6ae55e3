// Package remote is what the adapters of remote services share: keys that never
// show, an endpoint that keeps key and conversation on its host, one bounded
// exchange with it, and errors that say what a caller may do about them.
//
// Adapters call NewEndpoint once and Endpoint.Call for each request; everybody
// else needs NewSecret and the errors alone.
package remote
