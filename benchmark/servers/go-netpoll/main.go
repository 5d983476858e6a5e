// An echo server on CloudWeGo's netpoll, and with -rpc a request/reply server: each frame, a length
// of 4 bytes (big-endian) and a payload, is answered by one with the same payload. With -mux and
// -batch it is one for calls in the frames of nodepoll/rpc: see mux.go. With -call it makes such
// calls: see callers.go.
//
//	go-netpoll [-rpc | -mux | -batch] PORT
//
// Port 0 picks one.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"net"

	"github.com/cloudwego/netpoll"
)

const headerBytes = 4

func main() {
	isRPC := flag.Bool("rpc", false, "answer frame by frame")
	isMux := flag.Bool("mux", false, "answer calls of nodepoll/rpc, each by itself")
	isBatch := flag.Bool("batch", false, "answer calls of nodepoll/rpc, all that are there at a time")
	isCaller := flag.Bool("call", false, "make calls")
	flag.Parse()
	if *isCaller {
		runCallers(flag.Args())
		return
	}
	listener, err := netpoll.CreateListener("tcp", net.JoinHostPort("127.0.0.1", flag.Arg(0)))
	if err != nil {
		log.Fatal(err)
	}
	onRequest := echo
	if *isRPC {
		onRequest = reply
	}
	var options []netpoll.Option
	if *isMux || *isBatch {
		onRequest = answerEach
		options = append(options, netpoll.WithOnPrepare(open), netpoll.WithOnConnect(greet))
	}
	if *isBatch {
		onRequest = answerAll
	}
	loop, err := netpoll.NewEventLoop(onRequest, options...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(loop.Serve(listener))
}

// echo sends what has come from where it lies.
func echo(_ context.Context, connection netpoll.Connection) error {
	reader, writer := connection.Reader(), connection.Writer()
	bytes, err := reader.Next(reader.Len())
	if err != nil {
		return err
	}
	if _, err := writer.WriteBinary(bytes); err != nil {
		return err
	}
	// Flush returns when all is sent: from then on nobody needs the bytes.
	if err := writer.Flush(); err != nil {
		return err
	}
	return reader.Release()
}

// reply waits for one frame, as handlers of netpoll do, and answers all that are complete by then.
func reply(_ context.Context, connection netpoll.Connection) error {
	reader, writer := connection.Reader(), connection.Writer()
	for first := true; first || isComplete(reader); first = false {
		header, err := reader.Next(headerBytes)
		if err != nil {
			return err
		}
		length := int(binary.BigEndian.Uint32(header))
		payload, err := reader.Next(length)
		if err != nil {
			return err
		}
		header, err = writer.Malloc(headerBytes)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(header, uint32(length))
		if _, err := writer.WriteBinary(payload); err != nil {
			return err
		}
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return reader.Release()
}

func isComplete(reader netpoll.Reader) bool {
	if reader.Len() < headerBytes {
		return false
	}
	header, err := reader.Peek(headerBytes)
	return err == nil && reader.Len() >= headerBytes+int(binary.BigEndian.Uint32(header))
}
