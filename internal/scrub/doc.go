// Package scrub finds what is left of forgotten examples in files, and takes it
// out of them.
//
// Call [Of] with the examples, then ask the [Forgotten] what is of them. [Lines]
// and [Forgotten.Lists] write a file anew without what must go: at once or not at
// all, so that what was cut short can be done again.
package scrub
