package bench

// Disk is what measuring needs to know of a folder's file system.
type Disk struct {
	Free uint64 // bytes that this user may still write
	RAM  bool   // it is kept in memory: a sync costs nothing there
}
