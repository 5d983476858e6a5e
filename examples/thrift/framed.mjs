// Thrift over nodepoll, with the npm package `thrift`: its framed transport is a length of 4 bytes
// in front of each message, and its protocols and services work on whole messages.
import { dial, lengthPrefixed } from 'nodepoll'
import thrift from 'thrift'

const { TBinaryProtocol, TFramedTransport } = thrift
const frames = lengthPrefixed({ limit: 16_384_000 })

/** An `onRequest` that has a processor answer: any number of calls at a time, in any order. */
export function answerWith(processor) {
  return frames.onFrame((frame, connection) => {
    const output = new TBinaryProtocol(new TFramedTransport(undefined, send(connection)))
    processor.process(messageOf(frame), output).catch((error) => connection.destroy(error))
  })
}

/** A client of a service, as `thrift.createClient` makes them, and its connection. */
export async function connectThrift(ServiceClient, options) {
  const connection = await dial(options)
  const output = new TFramedTransport(undefined, send(connection))
  const client = new ServiceClient(output, TBinaryProtocol)
  const onReply = (frame) => {
    const input = messageOf(frame)
    const { fname, mtype, rseqid } = input.readMessageBegin()
    client[`recv_${fname}`](input, mtype, rseqid)
  }
  connection.setOnRequest(frames.onFrame(onReply)).addCloseCallback(() => {
    for (const settle of Object.values(client._reqs)) settle(new Error('the connection has ended'))
  })
  return { client, connection }
}

/** Thrift's readers give views of a message to handlers, which may keep them: hence the copy. */
function messageOf(frame) {
  return new TBinaryProtocol(new TFramedTransport(Buffer.from(frame)))
}

/** What a transport is flushed into: a whole frame, with its length. */
function send(connection) {
  return (frame) => {
    if (connection.isActive) connection.write(frame)
  }
}
