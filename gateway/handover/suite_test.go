package handover

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const patience = 10 * time.Second

// envPart is which part of a next process this binary plays, and on which address.
const (
	envPart = "HANDOVER_TEST_PART"
	envAddr = "HANDOVER_TEST_ADDR"
	envUnix = "HANDOVER_TEST_UNIX"
)

// The parts of a next process, and the code that one exits with that crashes.
const (
	partServes  = "serves"
	partCrashes = "crashes"
	partHangs   = "hangs"
	partLists   = "lists"
	partFails   = "fails"
	partEnds    = "ends"
	crashed     = 3
)

func TestMain(m *testing.M) {
	if part := os.Getenv(envPart); part != "" {
		os.Exit(play(part))
	}
	os.Exit(m.Run())
}

func TestHandover(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Handover")
}

// play is the whole life of a next process.
func play(part string) int {
	sockets, before, err := Inherit()
	if part == partLists {
		fmt.Println(len(sockets.given), before != nil, err, sockets.Drop(), os.Getenv(envFDs))
		return 0
	}
	if err != nil || before == nil {
		fmt.Fprintln(os.Stderr, "inherit:", before, err)
		return 1
	}
	if part == partFails {
		if ln, err := sockets.Inherited("unix", os.Getenv(envUnix)); err != nil || ln == nil || ln.Close() != nil {
			return 1
		}
		return crashed
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := before.Begin(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch part {
	case partCrashes:
		return crashed
	case partHangs:
		<-before.Gone()
		return 0
	}
	for network, address := range map[string]string{"tcp": os.Getenv(envAddr), "unix": os.Getenv(envUnix)} {
		ln, err := sockets.Inherited(network, address)
		if err != nil || ln == nil {
			fmt.Fprintln(os.Stderr, network, address, ln, err)
			return 1
		}
		if part == partEnds {
			defer func() { _ = ln.Close() }() // the path shows it
			continue
		}
		go answer(ln, list)
	}
	sockets.Own()
	if err := before.Ready(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if part == partEnds {
		return 0
	}
	<-ctx.Done() // it is killed before
	return 0
}

// answer says to whoever comes who this process was told of.
func answer(ln net.Listener, list []Instance) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = fmt.Fprint(conn, os.Getpid(), list)
		_ = conn.Close()
	}
}
