package socket

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer asks the kernel who is at the other end: anybody but this process's
// own user is an error.
func checkPeer(conn net.Conn) error {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err == nil {
		err = asked
	}
	if err != nil {
		return fmt.Errorf("ask who is at the other end: %w", err)
	}
	if int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("the process at the other end (%d) is user %d's, not user %d's", peer.Pid, peer.Uid, os.Geteuid())
	}
	return nil
}
