// Package dataset keeps the answers that a model may later be trained on.
//
// Call Open, Put what Policy.Judge lets through, and range over All; Rate takes
// the user's stars, Prefer a better answer, Stats sums up. Package dataset/forms
// exchanges examples with other programs.
//
// # What is promised
//
// An example that Put acknowledged is on disk: it survives kill -9 and, where
// the disk keeps its own promises, a power cut. What is read back is what was
// written, or an error that wraps ErrDamaged; a damaged or lost example is never
// an empty or a wrong one, and never simply absent. One process holds a store at
// a time. A disk that is running full refuses new examples with ErrNoSpace and
// loses none.
//
// # How it is kept
//
// A store is a folder:
//
//	badger/  the examples, an index by identity, and the state (layout.go)
//	mark     how many changes were ever acknowledged (mark.go)
//	seal     checksums of all files since the last clean Close (seal.go)
//	lock     locked by the process that holds the store (lock_*.go)
//
// Badger by itself promises less: it cuts a damaged log short without an error,
// skips damaged blocks when it reads, and dies of SIGBUS when the disk is full.
// So every value carries a checksum and the number of its change (record.go),
// examples are numbered without gaps, the mark lies outside of Badger, and the
// free space is measured before each commit (space.go). A store that was not
// closed is verified as a whole when it is next opened.
//
// Writers share commits: one goroutine gathers the changes that wait, commits
// them as one synced transaction, and only then answers (commit.go).
package dataset
