// The server: a listener on TCP and one on a unix socket, served by one loop. It learns from a
// client's first bytes of what kind it is, and then does its part.
import { setTimeout as later } from 'node:timers/promises'

import { createEventLoop, createListener } from 'nodepoll'

import { decodeHello, HELLO_BYTES } from './hello.mjs'
import { kinds } from './kinds.mjs'
import { READ_BUFFER_MAX } from './kinds/flood.mjs'
import { upstreams } from './kinds/proxy.mjs'
import { Ledger } from './ledger.mjs'
import { Random } from './random.mjs'
import { Session } from './session.mjs'
import { violate } from './violation.mjs'
import { watch } from './watchdog.mjs'

/** What has been called, all connections together. */
export const counts = { connects: 0, requests: 0, disconnects: 0, ends: 0 }

/** `path`: of the unix socket, or `undefined` where there are none. */
export async function startServer(seed, path) {
  const random = new Random(seed)
  const loop = createEventLoop({
    readBufferMax: READ_BUFFER_MAX,
    writeBufferMax: READ_BUFFER_MAX,
    // Long enough for all, but armed.
    idleTimeoutMs: 300_000,
    onPrepare: (connection) => prepared(connection, random),
    onConnect: (connection, visit) => connected(connection, visit, random),
    onRequest: (connection, visit) => requested(connection, visit),
    onDisconnect: (connection) => disconnected(connection),
    onError: (error, connection) => failed(error, connection),
  })
  const places = [{ host: '127.0.0.1', port: 0 }, ...(path === undefined ? [] : [{ path }])]
  const listeners = await Promise.all(places.map(createListener))
  const served = Promise.all(listeners.map((listener) => loop.serve(listener)))
  const targets = listeners.map(({ address }) => targetOf(address))
  upstreams.kind = kinds.findIndex(({ name }) => name === 'echo')
  upstreams.pick = () => random.pick(targets)
  const shutdown = async () => {
    await watch(loop.shutdown(), () => 'shutdown()')
    await watch(served, () => 'serve()')
  }
  return { loop, targets, shutdown }
}

/** What `dial` and `net.connect` take. */
function targetOf(address) {
  if (address.family === 'unix') return { path: address.path }
  return { host: address.address, port: address.port }
}

/** Gives the context of the later handlers. */
function prepared(connection, random) {
  if (connection.bytesRead > 0) violate('bytes are read before onPrepare')
  const number = ++counts.connects
  const visit = { session: undefined }
  const describe = () => `connection ${number} of ${visit.session?.name ?? 'nobody known'}`
  const ledger = new Ledger(connection, describe, random)
  void connection.closed.then(() => counts.ends++)
  visit.ledger = ledger
  return visit
}

/** Takes no time, or some. */
function connected(connection, visit, random) {
  const { ledger } = visit
  if (Ledger.of(connection) !== ledger) violate('onConnect has the context of another connection')
  return ledger.call('onConnect', () => {
    if (random.chance(0.8)) return undefined
    return later(random.integer(0, 20)).then(() => undefined)
  })
}

function requested(connection, visit) {
  counts.requests++
  const ledger = Ledger.of(connection) ?? violate('onRequest is called before onConnect')
  const { session } = visit
  return ledger.request(() => {
    if (session !== undefined) return session.kind.serve(connection, session)
    return meet(connection, visit, ledger)
  })
}

/** Reads who the client is. What it has sent after that is for the next call of onRequest. */
function meet(connection, visit, ledger) {
  const { input } = connection
  if (input.length < HELLO_BYTES) return undefined
  const hello = decodeHello(input.next(HELLO_BYTES))
  if (hello === undefined) violate(`${ledger.label()}: its first bytes are wrong`)
  const session = new Session(hello, 'at the server')
  visit.session = session
  const { kind, plan, random } = session
  const isUnix = connection.remoteAddress.family === 'unix'
  ledger.reasons = hello.isProxied ? ['peer'] : kind.reasons(plan, isUnix)
  if (random.chance(0.2)) {
    connection.setOnRequest(requested)
    ledger.handlerChanged()
  }
  if (random.chance(0.2)) ledger.addCloseCallback()
  return kind.begin?.(connection, session)
}

function disconnected(connection) {
  counts.disconnects++
  Ledger.of(connection).disconnected()
}

function failed(error, connection) {
  if (connection === undefined) violate(`accepting fails: ${error.stack}`)
  Ledger.of(connection).failed(error)
}
