package main

import (
	"context"
	"os"

	"retort/dataset"
	"retort/dataset/socket"
)

// exampleStore is what the verbs do with the store of examples, whether this
// process holds it or another one does.
type exampleStore = socket.Methods

// store opens the store and serves it to other processes until closeStore, or
// reaches it through the process that holds it.
func (r *retort) store() (exampleStore, error) {
	if r.openedStore != nil {
		return r.openedStore, nil
	}
	dir := r.path("store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := socket.Open(r.interrupted, dir, dataset.Options{Policy: r.policy()})
	if err != nil {
		return nil, err
	}
	r.openedStore = s
	return s, nil
}

// closeStore lets go of the store, which another process can hold then.
func (r *retort) closeStore() error {
	if r.openedStore == nil {
		return nil
	}
	err := r.openedStore.Close()
	r.openedStore = nil
	return err
}

// storeHolder is the process that holds and serves the store; 0 if none does.
func (r *retort) storeHolder(ctx context.Context) int {
	c, err := socket.Dial(ctx, socket.Path(r.path("store")))
	if err != nil {
		return 0
	}
	defer c.Close()
	return c.Owner().PID
}
