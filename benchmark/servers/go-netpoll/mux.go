package main

import (
	"context"
	"encoding/binary"

	"github.com/cloudwego/netpoll"
)

// The frames of nodepoll/rpc, as docs/guide/rpc.md has them.
const (
	prefaceBytes   = 24
	callHeadBytes  = 16
	replyHeadBytes = 12
	kindReply      = 2
	frameMax       = 16 << 20
	concurrencyMax = 1024
)

// greet hears what the client speaks, and says the same.
func greet(ctx context.Context, connection netpoll.Connection) context.Context {
	reader, writer := connection.Reader(), connection.Writer()
	if _, err := reader.Next(prefaceBytes); err != nil {
		return ctx
	}
	preface, err := writer.Malloc(prefaceBytes)
	if err != nil {
		return ctx
	}
	clear(preface)
	copy(preface, "nprc\x01")
	binary.BigEndian.PutUint32(preface[8:], frameMax)
	binary.BigEndian.PutUint32(preface[12:], concurrencyMax)
	copy(preface[16:], "bytes")
	_ = writer.Flush()
	_ = reader.Release()
	return ctx
}

// answer waits for one call, and answers all that are complete by then with what they have brought.
func answer(_ context.Context, connection netpoll.Connection) error {
	reader, writer := connection.Reader(), connection.Writer()
	for first := true; first || isComplete(reader); first = false {
		head, err := reader.Next(headerBytes)
		if err != nil {
			return err
		}
		call, err := reader.Next(int(binary.BigEndian.Uint32(head)))
		if err != nil {
			return err
		}
		methodBytes := int(binary.BigEndian.Uint16(call[2:]))
		payload := call[callHeadBytes-headerBytes+methodBytes:]
		reply, err := writer.Malloc(replyHeadBytes)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(reply, uint32(replyHeadBytes-headerBytes+len(payload)))
		binary.BigEndian.PutUint32(reply[4:], kindReply<<24)
		copy(reply[8:12], call[4:8])
		if _, err := writer.WriteBinary(payload); err != nil {
			return err
		}
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return reader.Release()
}
