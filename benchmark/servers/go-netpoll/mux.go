package main

import (
	"context"
	"encoding/binary"
	"log"

	"github.com/cloudwego/netpoll"
	"github.com/cloudwego/netpoll/mux"
)

type queueKey struct{}

// open gives a connection the queue that its answers leave through, whoever has them ready.
func open(connection netpoll.Connection) context.Context {
	queue := mux.NewShardQueue(mux.ShardSize, connection)
	return context.WithValue(context.Background(), queueKey{}, queue)
}

// greet hears what the client speaks, and says the same.
func greet(ctx context.Context, connection netpoll.Connection) context.Context {
	reader := connection.Reader()
	if _, err := reader.Next(prefaceBytes); err != nil {
		return ctx
	}
	_ = reader.Release()
	_ = writePreface(connection.Writer(), concurrencyMax)
	return ctx
}

// answerEach has each call answered by a goroutine of its own, as netpoll's own benchmark does
// where calls share a connection.
func answerEach(ctx context.Context, connection netpoll.Connection) error {
	frame, err := sliceFrame(connection.Reader())
	if err != nil {
		return err
	}
	queue := ctx.Value(queueKey{}).(*mux.ShardQueue)
	go func() {
		reply := netpoll.NewLinkBuffer()
		if err := answerTo(frame, reply); err != nil {
			log.Fatal(err)
		}
		queue.Add(func() (netpoll.Writer, bool) { return reply, false })
	}()
	return nil
}

func answerTo(frame netpoll.Reader, reply netpoll.Writer) error {
	if err := frame.Skip(headerBytes); err != nil {
		return err
	}
	// The reply outlives the frame: it gets bytes of its own.
	call, err := frame.ReadBinary(frame.Len())
	if err != nil {
		return err
	}
	if err := frame.Release(); err != nil {
		return err
	}
	if err := writeReply(reply, call); err != nil {
		return err
	}
	return reply.Flush()
}

// answerAll waits for one call, and answers all that are complete by then with what they have
// brought, in one write: what a program can do whose handlers wait for nothing.
func answerAll(_ context.Context, connection netpoll.Connection) error {
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
		if err := writeReply(writer, call); err != nil {
			return err
		}
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return reader.Release()
}
