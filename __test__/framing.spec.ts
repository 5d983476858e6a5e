import test from 'ava'
import * as fc from 'fast-check'
import { delimited, fixedSize, type Framing, lengthPrefixed, LinkBuffer } from 'nodepoll'

import { codeOf, deferred, failureOf, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { openPair } from './helpers/server.ts'

/** The bytes of frames, as a writing end has them. */
function encode(framing: Framing, payloads: readonly Uint8Array[]): Buffer {
  const buffer = new LinkBuffer()
  for (const payload of payloads) framing.write(buffer, payload)
  buffer.flush()
  const bytes = buffer.readBinary(buffer.length)
  buffer.close()
  return bytes
}

/** Sends bytes in pieces that end at the cuts. */
async function sendCut(
  send: (piece: Uint8Array) => Promise<void>,
  bytes: Uint8Array,
  cuts: readonly number[],
): Promise<void> {
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length]
  let at = 0
  for (const end of ends.toSorted((a, b) => a - b)) {
    if (end > at) await send(bytes.subarray(at, end))
    at = end
  }
}

const lengths = [1, 2, 4, 8] as const
const framings: Record<string, Framing> = {
  ...Object.fromEntries(
    lengths.flatMap((lengthBytes) =>
      (['BE', 'LE'] as const).map((endianness) => [
        `a length of ${lengthBytes} bytes, ${endianness}`,
        lengthPrefixed({ lengthBytes, endianness }),
      ]),
    ),
  ),
  'a length that counts itself': lengthPrefixed({ lengthBytes: 2, adjustment: -2 }),
  'a delimiter of two bytes': delimited({ delimiter: Buffer.of(0xff, 0xfe) }),
}

for (const [name, framing] of Object.entries(framings)) {
  test.serial(`every frame comes once, whole and in order, however cut: ${name}`, async (t) => {
    await leakCheck(t)
    const heard: Buffer[] = []
    const { peer } = await openPair(t, {
      onRequest: framing.onFrame((frame, { writer }) => {
        heard.push(Buffer.from(frame))
        framing.write(writer, frame)
      }),
    })
    // No byte of a delimiter in it.
    const payload = fc.uint8Array({ maxLength: 200, max: 0xf0 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(payload, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(2000), { maxLength: 5 }),
        async (payloads, cuts) => {
          heard.length = 0
          const bytes = encode(framing, payloads)
          await sendCut((piece) => peer.send(piece), bytes, cuts)
          t.deepEqual(await peer.read(bytes.length), bytes)
          t.deepEqual(heard, payloads.map(Buffer.from))
        },
      ),
      { numRuns: 25 },
    )
  })
}

test.serial('frames of one size, and frames with a header in front of the length', async (t) => {
  const blocks = fixedSize(3)
  const heard: string[] = []
  const first = await openPair(t, {
    onRequest: blocks.onFrame((block, { writer }) => {
      heard.push(block.toString())
      blocks.write(writer, block)
    }),
  })
  await first.peer.send('abcde')
  t.is((await first.peer.read(3)).toString(), 'abc')
  await first.peer.send('f')
  t.is((await first.peer.read(3)).toString(), 'def')
  t.deepEqual(heard, ['abc', 'def'])

  // A type of one byte, a length of two, then the body.
  const typed = lengthPrefixed({ lengthBytes: 2, offset: 1 })
  t.deepEqual(encode(typed, [Buffer.from('Tbody')]), Buffer.from('T\0\u0004body'))
  const second = await openPair(t, {
    onRequest: typed.onFrame((frame, { writer }) => void writer.writeBinary(frame)),
  })
  await second.peer.send('T\0\u0004body')
  t.is((await second.peer.read(7)).toString(), 'T\0\u0004body')
})

const over: [string, Framing, Uint8Array][] = [
  ['announced', lengthPrefixed({ limit: 10 }), Buffer.of(0, 0, 0, 11)],
  ['announced beyond all numbers', lengthPrefixed({ lengthBytes: 8 }), Buffer.alloc(8, 0xff)],
  ['below zero', lengthPrefixed({ lengthBytes: 2, adjustment: -2 }), Buffer.of(0, 1)],
  ['without an end', delimited({ limit: 10 }), Buffer.from('twelve bytes')],
  ['with an end', delimited({ limit: 10 }), Buffer.from('eleven byte\n')],
]

for (const [what, framing, bytes] of over) {
  test.serial(`a frame over the limit, ${what}, ends its connection with an error`, async (t) => {
    await leakCheck(t)
    const errors: unknown[] = []
    const { peer, connection } = await openPair(t, {
      onRequest: framing.onFrame(() => t.fail('it is no frame')),
      onError: (error) => errors.push(error),
    })
    await peer.send(bytes)
    const { by, error } = await within(connection.closed, 'the end')
    t.deepEqual([by, codeOf(error)], ['error', 'ERR_NODEPOLL_FRAME_LIMIT'])
    t.deepEqual(errors, [error])
    if (what === 'announced') t.regex(String(error), /frame of 11 bytes is over the limit of 10/)
  })
}

test.serial('a delimited frame of just the limit is one', async (t) => {
  const lines = delimited({ limit: 10 })
  const { peer } = await openPair(t, {
    onRequest: lines.onFrame((line, { writer }) => lines.write(writer, line)),
  })
  await peer.send('ten bytes.\n')
  t.is((await peer.read(11)).toString(), 'ten bytes.\n')
})

test.serial(
  'frames of handlers that wait are handled one at a time, replies in order',
  async (t) => {
    const frames = lengthPrefixed({ lengthBytes: 1 })
    let running = 0
    const { peer } = await openPair(t, {
      onRequest: frames.onFrame(async (frame, { writer }) => {
        t.is(++running, 1)
        const text = frame.toString()
        if (text !== 'quick') await new Promise((resolve) => setTimeout(resolve, 20))
        frames.write(writer, `${text} again ${frame.toString()}`)
        running--
      }),
    })
    const expected = encode(
      frames,
      ['slow', 'quick', 'slow'].map((text) => Buffer.from(`${text} again ${text}`)),
    )
    await peer.send(encode(frames, ['slow', 'quick', 'slow'].map(Buffer.from)))
    t.deepEqual(await peer.read(expected.length), expected)
  },
)

test.serial('a reply does not wait for the handlers of later frames', async (t) => {
  const frames = lengthPrefixed({ lengthBytes: 1 })
  const gate = deferred()
  const { peer } = await openPair(t, {
    onRequest: frames.onFrame((frame, { writer }) => {
      if (frame.toString() === 'wait') return gate.promise
      return frames.write(writer, frame)
    }),
  })
  await peer.send(encode(frames, ['one', 'wait', 'two'].map(Buffer.from)))
  t.is((await peer.read(4)).toString(), '\u0003one')
  gate.resolve()
  t.is((await peer.read(4)).toString(), '\u0003two')
})

const large: Record<string, Framing> = {
  lengthPrefixed: lengthPrefixed(),
  delimited: delimited({ delimiter: 'END' }),
  fixedSize: fixedSize(3_000_000),
}

for (const [name, frames] of Object.entries(large)) {
  test.serial(`H82: ${name} frames of 3 MB exceed a readBufferMax of 16 KiB`, async (t) => {
    await leakCheck(t)
    const { peer } = await openPair(t, {
      readBufferMax: 16 << 10,
      onRequest: frames.onFrame((frame, { writer }) => frames.write(writer, frame)),
    })
    const sent = encode(frames, [Buffer.alloc(3_000_000, 'a'), Buffer.alloc(3_000_000, 'b')])
    void peer.send(sent)
    t.true((await peer.read(sent.length)).equals(sent))
  })
}

test.serial('after close() no more frames are handled', async (t) => {
  const lines = delimited()
  const heard: string[] = []
  const { peer } = await openPair(t, {
    onRequest: lines.onFrame((line, connection) => {
      heard.push(line.toString())
      lines.write(connection.writer, 'bye')
      connection.writer.flush()
      void connection.close()
    }),
  })
  await peer.send('quit\nmore\n')
  t.is((await peer.read(4)).toString(), 'bye\n')
  t.deepEqual(heard, ['quit'])
})

test.serial('read() waits for one frame after the other, and rejects at the end', async (t) => {
  await leakCheck(t)
  const lines = delimited({ delimiter: '\r\n' })
  const { peer, connection } = await openPair(t)
  await peer.send('first\r')
  const first = lines.read(connection)
  await peer.send('\nsecond\r\npart')
  t.is((await within(first, 'a frame')).toString(), 'first')
  t.is((await within(lines.read(connection), 'a frame')).toString(), 'second')
  const rest = lines.read(connection)
  peer.socket.end()
  t.is(codeOf(await failureOf(rest)), 'ERR_NODEPOLL_EOF')
  t.is(connection.input.readString(4), 'part')
})

test('a frame for which memory runs out leaves no part of it', (t) => {
  const parts = { lengthPrefixed: 1, 'with an offset': 2, delimited: 2 }
  const all = [lengthPrefixed(), lengthPrefixed({ offset: 1 }), delimited()]
  const buffer = new LinkBuffer().writeString('before ')
  const { writeBinary } = buffer
  for (const [index, framing] of all.entries()) {
    let left = Object.values(parts)[index] as number
    // The last call that writes bytes is refused.
    buffer.writeBinary = (bytes) => {
      if (--left === 0) throw new Error('no memory')
      return writeBinary.call(buffer, bytes)
    }
    t.throws(() => framing.write(buffer, Buffer.from('a payload')), { message: 'no memory' })
    t.is(buffer.mallocLength, 7, Object.keys(parts)[index])
  }
  t.is(buffer.flush().readString(7), 'before ')
  buffer.close()
})
