// Package dataset keeps the answers that a model may later be trained on.
//
// Call Open, Put what Policy.Judge lets through, and range over All; Rate takes
// the user's stars, Prefer a better answer, Stats sums up. Package dataset/forms
// exchanges examples with other programs.
//
// # What is promised
//
// An example that Put acknowledged is on disk, a moment later twice: it survives kill
// -9 and, where the disk keeps its own promises, a power cut. What is read back is what
// was written, or an error that wraps ErrDamaged; a damaged or lost example is
// never an empty or a wrong one, and never simply absent. Check finds damage to any
// file of a closed store, and repairs it from what is intact. What Forget removed
// is, once the store is closed, in none of its files. One process holds a store at
// a time; package dataset/socket lets others in. A disk that is running full refuses
// new examples with ErrNoSpace and loses none; what is there can still be read.
//
// # How it is kept
//
// A store is a folder:
//
//	badger/     the examples, an index by identity, and the state (layout.go)
//	journal/    every change as a line of JSON, in order (package dataset/journal)
//	format      how to read all this, and which store it is (format.go)
//	seal        checksums of all files since the last clean Close (seal.go)
//	tally       the sums for Stats, as of then (sums.go)
//	reserve     room for the time when there is none (reserve.go)
//	lock        locked by the process that holds the store (lock_*.go)
//	forgetting  there while forgotten text may still be in the files (forget.go)
//	next/       the files that are to replace the present ones (rebuild.go)
//
// Badger by itself promises less: it cuts a damaged log short without an error,
// skips damaged blocks when it reads, and dies of SIGBUS when the disk is full.
// So every value carries a checksum and the number of its change (record.go),
// examples are numbered without gaps, each change is in the journal before it is in
// Badger, and the free space is measured before each commit (space.go). A store that
// was not closed is verified as a whole when it is next opened, and what Badger
// lacks is brought back from the journal (journaled.go), which alone is synced.
//
// Writers share commits: one goroutine gathers the changes that wait, writes them
// to the journal as one group, and only then answers. The group goes to Badger
// meanwhile, and readers wait until what was answered is there (commit.go).
package dataset
