package socket

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs fn on a thread of its own that is another user's.
func asNobody(t *testing.T, fn func() error) {
	t.Helper()
	const nobody = 65534
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		done <- fn()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// open lets every user into dir.
func open(t *testing.T, dir string) {
	t.Helper()
	for d := range map[string]bool{dir: true, filepath.Dir(dir): true} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

// Even where the modes let another user in, the kernel's word for it does not.
func TestServer_refusesAnotherUser(t *testing.T) {
	dir := storeDir(t)
	_, c := served(t, dir, held(t, dir))
	open(t, dir)
	if err := os.Chmod(Path(dir), 0o666); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() error {
		conn, err := net.Dial("unix", Path(dir))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST /owner HTTP/1.1\r\nHost: store\r\nContent-Length: 0\r\nConnection: close\r\nRetort-Protocol: 1\r\n\r\n")
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			return errors.New("another user was answered: " + string(answer))
		}
		return nil
	})
	mustPut(t, c, newExample(1))
}

func TestDial_refusesAnotherUser(t *testing.T) {
	dir := storeDir(t)
	open(t, dir)
	var l net.Listener
	asNobody(t, func() (err error) {
		l, err = net.Listen("unix", Path(dir))
		return err
	})
	srv := &http.Server{Handler: http.NotFoundHandler()}
	go srv.Serve(l)
	defer srv.Close()
	if _, err := Dial(t.Context(), Path(dir)); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "is user 65534's") {
		t.Errorf("%v, want a refusal", err)
	}
}
