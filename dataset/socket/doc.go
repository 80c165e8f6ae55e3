// Package socket lets several processes work on one store of examples at the
// same time, though one alone can hold it.
//
// Call Open: it opens the store and serves it, or else reaches the process that
// does; the methods of the Store it returns are those of dataset.Store, with the
// same results, errors and texts. When the holder ends, one of the others takes
// its place. Serve and Dial are the two halves by themselves.
//
// # What is promised
//
// What was acknowledged is on the holder's disk, as if the caller held the store
// itself. An answer that did not come to its end is an error, never a shorter
// list and never a success. A call that was not taken is made again, and so is
// one that may have been, where doing it twice is doing it once; the exception
// is PutQueries, which then says that the outcome is unknown (ErrLost). Scores
// are made by the Policy of the process that holds the store.
//
// # Who can connect
//
// The socket has mode 0600 and lies in a folder of mode 0700, so the owner of
// both and the administrator alone can reach it. On Linux each side also asks
// the kernel that the other one runs as the same user. On macOS the modes are
// what protects; on Windows, which has no modes, the access list of the user's
// profile.
//
// # What is said
//
// HTTP over the socket: POST /<method>, with a form or JSON lines as body. The
// answer is JSON lines of a value, an error or both, and in the end a line that
// says so (wire.go). To look at it by hand:
//
//	curl --unix-socket store/socket -H 'Retort-Protocol: 1' -d id=3f2a http://store/get
package socket
