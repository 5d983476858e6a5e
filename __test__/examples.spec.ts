import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

const run = promisify(execFile)

const DEADLINE_MS = 15_000

/** A program of examples/ that listens, and is ended with the test at the latest. */
interface Program {
  readonly child: ChildProcess
  readonly port: number
  /** What it has written to stderr so far. */
  readonly errors: () => string
}

async function start(t: ExecutionContext, name: string, ...args: string[]): Promise<Program> {
  const path = fileURLToPath(new URL(`../examples/${name}`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const [line] = (await once(createInterface(child.stdout), 'line', { signal })) as [string]
  const port = Number(/^listening on (\d+)$/.exec(line)?.[1])
  t.true(port > 0, `${name} says where it listens`)
  return { child, port, errors: () => errors }
}

/** Sends `pieces` one by one, reads `length` bytes, ends the connection. */
async function exchange(port: number, pieces: Iterable<Uint8Array>, length: number) {
  const socket = connect({ host: '127.0.0.1', port })
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const received: Buffer[] = []
  let missing = length
  const all = new Promise<void>((resolve, reject) => {
    socket.on('data', (data) => {
      received.push(data)
      missing -= data.length
      if (missing <= 0) resolve()
    })
    socket.on('close', () => reject(new Error(`${missing} bytes are missing`)))
    socket.on('error', reject)
    signal.addEventListener('abort', () => reject(new Error(`${missing} bytes are late`)))
  })
  try {
    for (const piece of pieces) {
      // Until the kernel has it, so that the next piece is another one for the server, too.
      await new Promise<unknown>((resolve) => socket.write(piece, resolve))
    }
    await all
  } finally {
    socket.destroy()
  }
  return Buffer.concat(received)
}

/** Ends a program as a terminal or a service manager does. */
async function stop(t: ExecutionContext, { child, errors }: Program, expected = /^$/) {
  child.kill('SIGTERM')
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const [code] = (await once(child, 'close', { signal })) as [number | null]
  t.is(code, 0)
  t.regex(errors(), expected)
}

/** Bytes of which no two neighbouring stretches are equal. */
function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31) ^ (at >>> 8)))
}

// Elsewhere a signal kills without giving the program the chance to close its connections.
const onPosix = process.platform === 'win32' ? test.skip : test

onPosix('echo sends back what it is sent and ends on a signal', async (t) => {
  const echo = await start(t, 'echo.mjs', '0')
  const sent = pattern(300_000)
  t.true(sent.equals(await exchange(echo.port, [sent], sent.length)))
  await stop(t, echo)
})

onPosix('line-upper answers lines that come in pieces and several at a time', async (t) => {
  const lines = await start(t, 'line-upper.mjs', '0')
  const pieces = ['he', 'llo\nwor', 'ld\nx\ngrün\n'].map((text) => Buffer.from(text))
  const expected = 'HELLO\nWORLD\nX\nGRÜN\n'
  const reply = await exchange(lines.port, pieces, Buffer.byteLength(expected))
  t.is(reply.toString(), expected)
  await stop(t, lines)
})

onPosix('line-upper ends a connection whose line is too long, and serves the next', async (t) => {
  const lines = await start(t, 'line-upper.mjs', '0')
  await t.throwsAsync(exchange(lines.port, [Buffer.alloc(200_000, 'a')], 1))
  t.is((await exchange(lines.port, [Buffer.from('b\n')], 2)).toString(), 'B\n')
  await stop(t, lines, /^a line exceeds 65536 bytes\n$/)
})

onPosix('proxy passes both directions on, byte for byte', async (t) => {
  const echo = await start(t, 'echo.mjs', '0')
  const proxy = await start(t, 'proxy.mjs', '0', String(echo.port))
  const sent = pattern(3_000_000)
  t.true(sent.equals(await exchange(proxy.port, [sent], sent.length)))
  await stop(t, proxy)
  await stop(t, echo)
})

onPosix('proxy ends a connection whose target refuses, and serves the next', async (t) => {
  const echo = await start(t, 'echo.mjs', '0')
  const proxy = await start(t, 'proxy.mjs', '0', String(echo.port))
  t.is((await exchange(proxy.port, [Buffer.from('up')], 2)).toString(), 'up')
  await stop(t, echo)
  await t.throwsAsync(exchange(proxy.port, [Buffer.from('down')], 4))
  await t.throwsAsync(exchange(proxy.port, [Buffer.from('still down')], 4))
  await stop(t, proxy, /^(connect ECONNREFUSED [\d.:]+\n){2}$/)
})

test('rpc answers calls one by one and pipelined, then ends by itself', async (t) => {
  const path = fileURLToPath(new URL('../examples/rpc.mjs', import.meta.url))
  const { stdout, stderr } = await run(process.execPath, [path], { timeout: DEADLINE_MS })
  t.deepEqual(stdout.split('\n'), [
    'reverse stressed -> desserts',
    'reverse nodepoll -> llopedon',
    'pipelined -> 101',
    'pipelined -> 102',
    'pipelined -> 103',
    "pipelined -> no procedure 'divide'",
    '',
  ])
  t.is(stderr, '')
})
