// The process of the clients: keeps so many of them under way, lets them all end for a pause, and
// tells its parent of all that happens.
import { configure, stats } from 'nodepoll'

import { encodeHello } from './hello.mjs'
import { kinds } from './kinds.mjs'
import { openLedgers } from './ledger.mjs'
import { NetPeer } from './net-peer.mjs'
import { NodepollPeer } from './nodepoll-peer.mjs'
import { Random } from './random.mjs'
import { countDescriptors, Resources } from './resources.mjs'
import { Session } from './session.mjs'
import { verified } from './stream.mjs'
import { onViolation, violate, Violation, watchProcess } from './violation.mjs'

const REPORT_MS = 1000
/** Started at a time, so that they do not all do the same. */
const STARTS_MAX = 8
const START_EVERY_MS = 10
const COST = 64 << 10
/** Of the server's memory, so that its output finds room, too. */
const MEMORY_PART = 0.4

/** In turn, for every kind that they can play. */
const peers = [NetPeer, NodepollPeer]

const { seed, clients, memoryMax, pollers, targets } = JSON.parse(process.argv[2])
const random = new Random(seed)
const kindsInUse = new Map()
const running = new Set()
let opened = 0
let ended = 0
let cost = 0
let lastId = 0
let isPausing = true
/** Clients that rest, which a pause wakes. */
const resting = new Set()

watchProcess('process of the clients')
// The parent ends this process then. If it ended by itself, its resets would be told of first.
onViolation((violation) => process.send({ violation }))
process.on('disconnect', () => process.exit(1))
configure({ memoryMax, pollers })

const resources = await Resources.begin('the process of the clients')
process.on('message', (order) => {
  if (order === 'go') isPausing = false
  else if (order === 'pause') void endAll()
  else process.exit(0)
})
setInterval(() => process.send({ report: report() }), REPORT_MS).unref()
setInterval(startSome, START_EVERY_MS)
process.send({ report: report() })

/** All clients come to their end, and everything of theirs is given back. */
async function endAll() {
  isPausing = true
  for (const wake of resting) wake()
  await Promise.all(running)
  await resources.drain(() => {
    const [ledger] = openLedgers
    return ledger && `${openLedgers.size} connections are left, the first is ${ledger.describe()}`
  })
  resources.checkMemory()
  process.send({ report: report(), paused: true })
}

function startSome() {
  if (isPausing) return
  for (let count = 0; count < STARTS_MAX && running.size < clients; count++) {
    const kind = kinds.indexOf(random.pickWeighted(kinds))
    const id = ++lastId
    const hello = { kind, id, seed: random.integer(0, 2 ** 32 - 1) }
    const session = new Session(hello, 'at the client')
    const ownCost = session.kind.cost?.(session.plan) ?? COST
    if (cost > 0 && cost + ownCost > memoryMax * MEMORY_PART) continue
    cost += ownCost
    const client = run(session, encodeHello(hello)).finally(() => {
      cost -= ownCost
      running.delete(client)
    })
    running.add(client)
  }
}

async function run(session, hello) {
  const { kind, name } = session
  session.hello = hello
  session.rest = rest
  const able = peers.filter(({ canHalfClose }) => canHalfClose || !kind.halfCloses)
  const Peer = session.random.pick(able)
  const describe = () => `${Peer.label} ${name}`
  const target = session.random.pick(targets)
  try {
    const peer = await Peer.connect({ target, describe, random })
    opened++
    if (!kind.greets) await peer.write(hello)
    await kind.client(peer, session)
    await peer.ended()
    ended++
    kindsInUse.set(kind.name, (kindsInUse.get(kind.name) ?? 0) + 1)
  } catch (error) {
    if (error instanceof Violation) return
    violate(`${describe()} (${JSON.stringify(session.plan)}): ${error.stack}`)
  }
}

/** Waits for a while, but not during a pause. */
function rest(ms) {
  if (isPausing) return undefined
  return new Promise((done) => {
    const wake = () => {
      clearTimeout(timer)
      resting.delete(wake)
      done()
    }
    const timer = setTimeout(wake, ms)
    resting.add(wake)
  })
}

function report() {
  const { arenaBytesLeased } = stats()
  return {
    opened,
    ended,
    running: running.size,
    bytes: verified.bytes,
    rss: process.memoryUsage.rss(),
    arenaBytesLeased,
    descriptors: countDescriptors(),
    kinds: [...kindsInUse],
  }
}
