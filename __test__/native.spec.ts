import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { runChild } from './helpers/child.ts'

const sources = fileURLToPath(new URL('../crates/nodepoll-node/src', import.meta.url))
const texts = readdirSync(sources).map((name) => readFileSync(`${sources}/${name}`, 'utf8'))

test('H109: each export of the native half catches panics, the hand-written ones too', (t) => {
  let exports = 0
  let callbacks = 0
  for (const text of texts) {
    for (const [item, attribute] of text.matchAll(/#\[napi(?:\(([^\]]*)\))?\][^{;]*?\bfn \w+/g)) {
      if (/\b(?:struct|impl) /.test(item)) continue
      exports++
      t.regex(attribute ?? '', /\bcatch_unwind\b/, item)
    }
    // What libuv and Node-API call runs the core's code in one of these two, or none of it.
    const bodies = text.matchAll(/^(?:unsafe extern "C" )?fn (?:exchange|turn)\([^]*?^}/gm)
    for (const [body] of bodies) {
      callbacks++
      t.true(body.includes('catch_unwind('), body)
    }
  }
  t.true(exports >= 10, `${exports} exports`)
  t.is(callbacks, 2)
})

test('H50: no export makes a buffer of memory that is not of JavaScript', (t) => {
  for (const text of texts) t.notRegex(text, /create_external|\bBufferSlice\b|\bArrayBuffer::/)
})

const CALLS = 20_000

/** Source: a server that echoes to one connection, and what is said of the native half. */
const common = `
  import { configure, dial, serve, stats } from 'nodepoll'
  import { currentRuntime } from './dist/internal/runtime.js'
  import { native } from './dist/native/load.js'
  import * as record from './dist/native/record.js'
  configure({ pollers: 2 })
  const server = await serve({
    host: '127.0.0.1',
    onRequest: ({ input, writer }) => void writer.append(input).flush(),
  })
  const connection = await dial({ host: '127.0.0.1', port: server.address.port })
  let echoes = 0
  async function echo() {
    const said = 'echo ' + echoes++
    connection.write(said)
    const heard = await connection.reader.readString(said.length)
    if (heard !== said) throw new Error('heard ' + heard)
  }
  let seed = 109
  const random = (n) => (seed = Math.imul(seed, 1664525) + 1013904223 >>> 0) % n
  const runtime = currentRuntime()
`

test('H109: any call of any export with any arguments is refused or harmless', async (t) => {
  const { code, signal, stdout } = await runChild(
    t,
    `
    ${common}
    const values = [
      undefined, null, true, -1, 0, 1, 1.5, NaN, Infinity, 2 ** 31, 2 ** 32, 2 ** 53, '', 'text',
      'a\\0b', 1n, Symbol('x'), {}, [], [1], () => {}, new Uint8Array(3), new Uint8Array(4096),
      new Int32Array(4), Buffer.alloc(0), new ArrayBuffer(8), new Date(), Object.create(null),
      { host: 5 }, { get host() { throw new Error('mine') } }, new Proxy({}, {}),
      { listener: 1e9, host: 'no address', port: 1, path: null, backlog: -5 },
      { dial: -1, host: null, port: 1e9, path: '/no/such/path', localHost: 'x', localPort: -1 },
      { noDelay: 1, keepAlive: {}, limit: -1, limitMax: NaN },
      { memoryMax: -1, host: 'x', loadBalance: 1, control: [], commands: [1], events: {} },
    ]
    const { BindingRuntime } = native
    const own = runtime.native
    const calls = {}
    for (const name of Object.getOwnPropertyNames(BindingRuntime.prototype)) {
      if (name === 'constructor') calls[name] = (given) => new BindingRuntime(...given)
      else calls[name] = (given) => own[name](...given)
    }
    for (const [name, value] of Object.entries(Object.getOwnPropertyDescriptors(BindingRuntime))) {
      if (typeof value.value === 'function') calls[name] = (given) => value.value(...given)
    }
    const names = Object.keys(calls)
    const outcomes = { returned: 0, threw: 0 }
    for (let call = 0; call < ${CALLS}; call++) {
      const given = Array.from({ length: random(4) }, () => values[random(values.length)])
      try {
        calls[names[random(names.length)]](given)
        outcomes.returned++
      } catch (error) {
        if (!(error instanceof Error)) throw error
        outcomes.threw++
      }
      if (call % 1000 === 0) await echo()
    }
    await echo()
    console.log(names.length >= 10, outcomes.returned > 100, outcomes.threw > 1000)
    // They may have said that the process is to stay alive.
    process.exit(0)
    `,
  )
  t.deepEqual([code, signal, stdout], [0, null, 'true true true\n'])
})

test('H57, H109: commands and releases that name nothing are harmless, and counted', async (t) => {
  const { code, signal, stdout, stderr } = await runChild(
    t,
    `
    ${common}
    const kinds = Object.entries(record)
      .filter(([name]) => name.startsWith('COMMAND_') && name !== 'COMMAND_FAULT')
      .map(([, value]) => value)
    const words = [0, 1, -1, 7, 255, 65536, 2 ** 31 - 1, -(2 ** 31)]
    const word = () => random(2) ? words[random(words.length)] : random(2 ** 32) | 0
    await echo()
    const { dispatcher } = runtime
    for (let command = 0; command < ${CALLS}; command++) {
      const lane = dispatcher.lanes[random(2)]
      // No row has so high a number, and no connection of the first rows such a generation.
      const isHigh = random(2) === 0
      const slot = isHigh ? 1000 + random(2 ** 20) : random(8)
      const generation = isHigh ? word() : -2 - random(1000)
      const kind = random(20) === 0 ? word() : kinds[random(kinds.length)]
      if (kind === record.COMMAND_FAULT) continue
      const node = word() | 0x4000_0000
      lane.commandSegment(kind, slot, generation, node, word(), word(), word())
      dispatcher.schedule()
      if (command % 500 === 0) await echo()
    }
    await echo()
    const { staleCommands, connections, listeners } = stats()
    console.log(staleCommands > ${CALLS / 2}, connections, listeners)
    await connection.close()
    await server.shutdown()
    `,
  )
  t.deepEqual([code, signal, stdout, stderr], [0, null, 'true 2 1\n', ''])
})
