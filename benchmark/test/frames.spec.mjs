import test from 'ava'

import { FrameReplies } from '../servers/frames.mjs'

function frame(payload) {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(payload.length)
  return Buffer.concat([header, payload])
}

const payloads = ['', 'a', 'frames', 'x'.repeat(300)].map((text) => Buffer.from(text))
const stream = Buffer.concat(payloads.map(frame))

/** All replies to the stream in pieces of so many bytes, each in memory that is used again. */
function repliesTo(pieceBytes) {
  const frames = new FrameReplies()
  const memory = Buffer.alloc(pieceBytes)
  const replies = []
  for (let at = 0; at < stream.length; at += pieceBytes) {
    const piece = memory.subarray(0, stream.copy(memory, 0, at, at + pieceBytes))
    replies.push(frames.toReplies(piece) ?? [])
    memory.fill(0xff)
  }
  return replies
}

test('frames are answered with the same payloads, wherever the stream is cut', (t) => {
  for (let pieceBytes = 1; pieceBytes <= stream.length; pieceBytes += 1) {
    const replies = Buffer.concat(repliesTo(pieceBytes).map((each) => Buffer.from(each)))
    t.true(replies.equals(stream), `in pieces of ${pieceBytes}`)
  }
})

test('a frame is answered as soon as it is complete, and not before', (t) => {
  const frames = new FrameReplies()
  const [first, second] = [frame(Buffer.from('one')), frame(Buffer.from('two'))]
  t.is(frames.toReplies(first.subarray(0, 2)), undefined)
  t.is(frames.toReplies(first.subarray(2, 6)), undefined)
  const reply = frames.toReplies(Buffer.concat([first.subarray(6), second.subarray(0, 6)]))
  t.deepEqual(Buffer.from(reply), first)
  t.deepEqual(Buffer.from(frames.toReplies(second.subarray(6))), second)
})
