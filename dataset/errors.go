package dataset

import "errors"

// Errors that callers tell apart with errors.Is.
var (
	// ErrBusy: another process (or another Store of this one) holds the folder.
	ErrBusy = errors.New("the store is held by another process")

	// ErrClosed: the store was used after Close.
	ErrClosed = errors.New("the store is closed")

	// ErrDamaged: what is on disk is not what was written. Options.Salvage
	// opens a damaged store for reading what is left.
	ErrDamaged = errors.New("the store is damaged")

	// ErrNoSpace: the disk is too full to go on safely. Nothing was stored, and
	// nothing that was stored before is lost; the same call may succeed once
	// there is room.
	ErrNoSpace = errors.New("not enough disk space")

	// ErrNotFound: no example has this identity.
	ErrNotFound = errors.New("no such example")

	// ErrAmbiguous: the prefix fits several examples.
	ErrAmbiguous = errors.New("several examples begin like this")

	// ErrNotEmpty: a backup is only restored to where nothing is yet.
	ErrNotEmpty = errors.New("it is not empty")

	// ErrInvalid: an example or a rating may not be stored as it is.
	ErrInvalid = errors.New("invalid")
)
