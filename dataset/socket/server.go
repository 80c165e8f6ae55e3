package socket

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"retort/dataset"
)

// grace is how long Close waits for calls in flight. It is shorter than what
// others wait for the next holder.
const grace = 5 * time.Second

// Server gives other processes the use of a store that this one holds.
type Server struct {
	store  holder
	http   *http.Server
	remove func()        // the socket's files
	served chan struct{} // closed when no connection is accepted any more
	grace  time.Duration

	mu      sync.Mutex // guards closing, and adding to calls
	closing bool
	calls   sync.WaitGroup
}

// Serve serves store on the socket for path, usually Path of the store's folder,
// until Close. What a dead process left at path is replaced; where a live one
// answers there, the error wraps syscall.EADDRINUSE.
func Serve(store *dataset.Store, path string) (*Server, error) { return serve(store, path) }

func serve(store holder, path string) (*Server, error) {
	l, remove, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("serve the store on %q: %w", path, err)
	}
	s := &Server{store: store, remove: remove, served: make(chan struct{}), grace: grace}
	s.http = &http.Server{Handler: s.routes(), ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(peerListener{l}) // until Close
	}()
	return s, nil
}

// Close takes no further call, waits a few seconds for those in flight, cuts off
// what is left of them, and returns when none is left. The store stays open.
func (s *Server) Close() error {
	s.mu.Lock()
	closed := s.closing
	s.closing = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.remove() // nobody else is to try
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.calls.Wait()
	}()
	select {
	case <-done:
	case <-time.After(s.grace):
	}
	err := s.http.Close() // ends the contexts of the calls that are left
	<-done
	<-s.served
	return err
}

// enter counts a call in, so that Close waits for it.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.calls.Add(1)
	}
	return !s.closing
}

// peerListener accepts connections of this process's user alone.
type peerListener struct{ net.Listener }

func (l peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || checkPeer(conn) == nil {
			return conn, err
		}
		conn.Close()
	}
}

// answerer carries out one call and writes the lines of its answer. An error
// means that the request made no sense, and nothing was written.
type answerer func(w http.ResponseWriter, r *http.Request) error

// handle counts a call in and checks that it is of this protocol.
func (s *Server) handle(do answerer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(protocolHeader, protocol)
		w.Header().Set(pidHeader, strconv.Itoa(os.Getpid()))
		if got := r.Header.Get(protocolHeader); got != protocol {
			http.Error(w, fmt.Sprintf("version %q of the protocol is not %s", got, protocol), http.StatusHTTPVersionNotSupported)
			return
		}
		if !s.enter() {
			panic(http.ErrAbortHandler) // before the body is read: the call is not taken
		}
		defer s.calls.Done()
		if err := do(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
}

// form makes an answerer of a call that takes a form.
func form[T any](do func(context.Context, url.Values) (iter.Seq2[T, error], error)) answerer {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return err
		}
		answer, err := do(r.Context(), values)
		if err == nil {
			reply(w, answer)
		}
		return err
	}
}

// list makes an answerer of a call that takes JSON lines.
func list[In, Out any](do func(context.Context, []In) (Out, error)) answerer {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in []In
		for dec := json.NewDecoder(r.Body); ; {
			var item In
			err := dec.Decode(&item)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			in = append(in, item)
		}
		reply(w, single(do(r.Context(), in)))
		return nil
	}
}

// single is the answer of a call that returns one value.
func single[T any](v T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { yield(v, err) }
}

// reply writes an answer to its end, or until the other side is gone. The end is
// on its way when reply returns.
func reply[T any](w http.ResponseWriter, answer iter.Seq2[T, error]) {
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	for v, err := range answer {
		if enc.Encode(line[T]{Value: &v, Error: wireErrorOf(err)}) != nil {
			return
		}
	}
	if enc.Encode(line[T]{End: true}) == nil && out.Flush() == nil {
		_ = http.NewResponseController(w).Flush()
	}
}
