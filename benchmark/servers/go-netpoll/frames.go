package main

import (
	"encoding/binary"

	"github.com/cloudwego/netpoll"
)

// The frames of nodepoll/rpc, as docs/guide/rpc.md has them.
const (
	prefaceBytes   = 24
	callHeadBytes  = 16
	replyHeadBytes = 12
	kindCall       = 1
	kindReply      = 2
	frameMax       = 16 << 20
	concurrencyMax = 1024
)

// writePreface says what this end speaks.
func writePreface(writer netpoll.Writer, concurrency uint32) error {
	preface, err := writer.Malloc(prefaceBytes)
	if err != nil {
		return err
	}
	clear(preface)
	copy(preface, "nprc\x01")
	binary.BigEndian.PutUint32(preface[8:], frameMax)
	binary.BigEndian.PutUint32(preface[12:], concurrency)
	copy(preface[16:], "bytes")
	return writer.Flush()
}

// writeReply answers the call whose frame, without its length, is `call`. Nothing is flushed.
func writeReply(writer netpoll.Writer, call []byte) error {
	methodBytes := int(binary.BigEndian.Uint16(call[2:]))
	payload := call[callHeadBytes-headerBytes+methodBytes:]
	head, err := writer.Malloc(replyHeadBytes)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(head, uint32(replyHeadBytes-headerBytes+len(payload)))
	binary.BigEndian.PutUint32(head[4:], kindReply<<24)
	copy(head[8:12], call[4:8])
	_, err = writer.WriteBinary(payload)
	return err
}

// writeCall asks for a method. Nothing is flushed.
func writeCall(writer netpoll.Writer, id uint32, method string, payload []byte) error {
	head, err := writer.Malloc(callHeadBytes)
	if err != nil {
		return err
	}
	rest := callHeadBytes - headerBytes + len(method) + len(payload)
	binary.BigEndian.PutUint32(head, uint32(rest))
	binary.BigEndian.PutUint32(head[4:], kindCall<<24|uint32(len(method)))
	binary.BigEndian.PutUint32(head[8:], id)
	binary.BigEndian.PutUint32(head[12:], 0)
	if _, err = writer.WriteString(method); err != nil {
		return err
	}
	_, err = writer.WriteBinary(payload)
	return err
}

// sliceFrame waits for a frame and takes it out, length included, to be read by another goroutine.
func sliceFrame(reader netpoll.Reader) (netpoll.Reader, error) {
	header, err := reader.Peek(headerBytes)
	if err != nil {
		return nil, err
	}
	return reader.Slice(headerBytes + int(binary.BigEndian.Uint32(header)))
}
