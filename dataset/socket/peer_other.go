//go:build !linux

package socket

import "net"

// checkPeer lets everybody in: who can connect is for the modes of the socket and
// its folder to say.
func checkPeer(net.Conn) error { return nil }
