import test from 'ava'
import { type Connection, stats } from 'nodepoll'

import { block, codeOf, failureOf, settled, within } from './helpers/deadline.ts'
import { enders } from './helpers/enders.ts'
import { leakCheck } from './helpers/leaks.ts'
import { Peer } from './helpers/peer.ts'
import { openPair, type Pair, startServer, temporaryPath } from './helpers/server.ts'

/** More than the kernel takes from a peer that does not read. */
const UNTAKEN_BYTES = 16 << 20

/** What a connection may be in the middle of. */
const activities: Record<string, { readonly reads: boolean; readonly writes: boolean }> = {
  'nothing happens': { reads: false, writes: false },
  'a read waits': { reads: true, writes: false },
  'output waits': { reads: false, writes: true },
  'a read and output wait': { reads: true, writes: true },
}

async function codeOfFailure(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => 'none',
    (error: unknown) => String(codeOf(error)),
  )
}

/** Has output wait, with nobody to take it. */
async function fill({ connection, peer }: Pair): Promise<void> {
  peer.socket.pause()
  connection.write(Buffer.alloc(UNTAKEN_BYTES))
  await settled(() => stats().bytesWritten, 30)
}

for (const [ending, { end, by, codes, drops }] of Object.entries(enders)) {
  for (const [activity, { reads, writes }] of Object.entries(activities)) {
    test.serial(`H53: ${ending} while ${activity} is told for what it is`, async (t) => {
      await leakCheck(t)
      const pair = await openPair(t, {}, { allowHalfOpen: true })
      const { connection, peer } = pair
      if (writes) await fill(pair)
      const reading = reads ? codeOfFailure(connection.reader.next(1)) : undefined
      const draining = codeOfFailure(connection.writer.drained())
      await end(pair)
      if (writes && !drops) peer.socket.resume()
      // So that a graceful end need not wait for it.
      void peer.readToEnd().then(
        () => peer.end(),
        () => {},
      )
      const reason = await within(connection.closed, 'the end')
      t.is(reason.by, by)
      if (by === 'error') t.true(codes.includes(String(codeOf(reason.error))))
      else t.is(reason.error, undefined)
      // EOF after a FIN and only then; one and the same code for all that fails.
      const late = String(codeOf(await failureOf(connection.reader.next(1))))
      t.true(codes.includes(late), late)
      if (by === 'error') t.is(late, String(codeOf(reason.error)))
      if (reading !== undefined) t.is(await within(reading, 'the read'), late)
      const lost = ending === 'FIN from the peer' ? 'ERR_NODEPOLL_CONNECTION_CLOSED' : late
      t.is(await within(draining, 'drained()'), writes && drops ? lost : 'none')
      t.is(connection.signal.aborted, true)
      if (by === 'error') t.is(connection.signal.reason, reason.error)
    })
  }
}

test.serial('H53: a reset that a write meets first is told to the read that waits', async (t) => {
  await leakCheck(t)
  for (let round = 0; round < 20; round++) {
    const { connection, peer } = await openPair(t)
    const reading = failureOf(connection.reader.next(1))
    await settled(() => stats().turns, 5)
    peer.reset()
    // The kernel has it before anybody here has looked; the write looks first.
    block(5)
    connection.write('anybody there?')
    const error = await reading
    t.true(['ECONNRESET', 'EPIPE'].includes(String(codeOf(error))), String(error))
    const reason = await within(connection.closed, 'the end')
    t.deepEqual([reason.by, reason.error], ['error', error])
  }
})

test.serial('H53: a unix peer that closes with unread data resets the connection', async (t) => {
  if (process.platform !== 'linux') {
    t.log('skipped: other systems send an orderly end')
    t.pass()
    return
  }
  await leakCheck(t)
  let opened: ((connection: Connection) => void) | undefined
  const opening = new Promise<Connection>((resolve) => (opened = resolve))
  const server = await startServer(t, {
    path: temporaryPath(t),
    onConnect: (connection) => opened?.(connection),
  })
  const peer = await Peer.connect(t, server.address)
  peer.socket.pause()
  const connection = await within(opening, 'a connection')
  connection.write('never read')
  await within(connection.writer.drained(), 'drained()')
  await peer.send('last words')
  await within(connection.reader.wait(10), 'what came before')
  peer.socket.destroy()
  const { by, error } = await within(connection.closed, 'the end')
  t.deepEqual([by, codeOf(error)], ['error', 'ECONNRESET'])
  t.is(connection.input.readString(10), 'last words')
})
