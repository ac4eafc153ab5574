package main

import (
	"fmt"
	"net"
	"os"
)

// The states that a service manager is told of (sd_notify(3)).
const (
	nowReady    = "READY=1"
	nowStopping = "STOPPING=1"
	nowAnother  = "MAINPID=%d\nREADY=1" // another process has taken this one's place
)

// envNotify is where a service manager listens that wants to know.
const envNotify = "NOTIFY_SOCKET"

// notify tells the service manager that has started this process, if one wants to know, what state it is in.
func notify(state string) error {
	name := os.Getenv(envNotify)
	if name == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // @ begins an abstract name, to Go as well
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }() // what was written is on its way
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}
