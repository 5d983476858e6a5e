import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { eventually } from './helpers/deadline.ts'
import { Program, startProgram, talk, talkTo } from './helpers/program.ts'

const MAIN = 'dist/cli/main.js'
const LISTENING = /^listening on 127\.0\.0\.1:(\d+)$/
const LISTENING_JSON = /"event":"listening".*"port":(\d+)/
const root = fileURLToPath(new URL('..', import.meta.url))
const commands = ['echo', 'proxy', 'bench', 'doctor']

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command to its end. */
async function nodepoll(t: ExecutionContext, ...args: string[]): Promise<Ended> {
  const program = new Program(MAIN, args)
  t.teardown(() => program.child.kill('SIGKILL'))
  const status = await program.end(60_000)
  return { status, stdout: program.output, stderr: program.errors }
}

const start = (t: ExecutionContext, ...args: string[]): Promise<Program> =>
  startProgram(t, MAIN, args, {}, args.includes('--json') ? LISTENING_JSON : LISTENING)

/** The lines of JSON that a command has printed. */
function events(program: Program): Record<string, unknown>[] {
  const lines = program.output.trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

async function interrupt(program: Program): Promise<number | null> {
  program.child.kill('SIGINT')
  return program.end()
}

// One after the other: each starts processes. Elsewhere a signal kills without giving the program
// the chance to close its connections.
const onPosix = process.platform === 'win32' ? test.skip : test.serial
const onLinux = process.platform === 'linux' ? test.serial : test.skip

test.serial('without a command, and with --help, it names all commands', async (t) => {
  const help = await nodepoll(t, '--help')
  t.is(help.status, 0)
  for (const name of commands) t.regex(help.stdout, new RegExp(`^ {2}${name} `, 'm'))
  const none = await nodepoll(t)
  t.is(none.status, 2)
  t.is(none.stdout, '')
  t.is(none.stderr, 'nodepoll: a command is missing\nSee `nodepoll --help`.\n')
})

test.serial('--version is that of the package', async (t) => {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as {
    version: string
  }
  t.is((await nodepoll(t, '--version')).stdout, `${version}\n`)
})

for (const name of commands) {
  test.serial(`${name} --help says how it is used, within 100 columns`, async (t) => {
    const { status, stdout, stderr } = await nodepoll(t, name, '--help')
    t.is(status, 0)
    t.is(stderr, '')
    t.regex(stdout, new RegExp(`^Usage: nodepoll ${name} `))
    t.regex(stdout, /--json/)
    t.true(stdout.split('\n').every((line) => line.length <= 100))
  })
}

test.serial('docs/cli.md names every option that --help names', async (t) => {
  const page = readFileSync(`${root}/docs/cli.md`, 'utf8')
  for (const name of commands) {
    const { stdout } = await nodepoll(t, name, '--help')
    const options = stdout.match(/--[a-z-]+/g) ?? []
    for (const option of options) t.true(page.includes(option), `${name} ${option}`)
  }
})

const wrong: readonly [args: string[], expected: RegExp][] = [
  [['dance'], /^nodepoll: there is no command 'dance'\nSee `nodepoll --help`\.\n$/],
  [['echo', '--loud'], /^nodepoll: Unknown option '--loud'\nSee `nodepoll echo --help`\.\n$/],
  [['echo', 'x'], /'x' is one argument too many/],
  [['echo', '--port', 'x'], /--port: expected a whole number from 0 to 65535, not 'x'/],
  [['echo', '--port', '70000'], /--port: expected a whole number/],
  [['echo', '--port'], /--port <value>' argument missing/],
  [['echo', '--json=yes'], /'--json' does not take an argument/],
  [['echo', '--path', ''], /--path: expected the name of a file/],
  [['proxy'], /<target> is missing/],
  [['proxy', 'nowhere'], /<target>: expected a port, host:port or a path, not 'nowhere'/],
  [['proxy', '127.0.0.1:0'], /<target>: expected a port/],
  [['bench', '--rounds', '1.5'], /--rounds: expected a whole number from 1/],
  [['bench', '--seconds', ''], /--seconds: expected a number from 0\.1/],
  [['doctor', '--port', '1'], /Unknown option '--port'/],
]

for (const [args, expected] of wrong) {
  test.serial(
    `\`nodepoll ${args.join(' ')}\` is told what is wrong, with exit code 2`,
    async (t) => {
      const { status, stdout, stderr } = await nodepoll(t, ...args)
      t.is(status, 2)
      t.is(stdout, '')
      t.regex(stderr, expected)
      t.is(stderr.trim().split('\n').length, 2)
    },
  )
}

onPosix('echo sends back what it is sent, and says at its end what it did', async (t) => {
  const echo = await start(t, 'echo', '--port', '0')
  const client = await talk(t, echo.port)
  await client.say('hello')
  t.is(await client.hear(/hello/), 'hello')
  t.is(await interrupt(echo), 0)
  t.is(await client.ended(), '')
  t.regex(echo.output, /\n1 connection, 5 B in, 5 B out\n$/)
  t.is(echo.errors, '')
})

onPosix('echo --json tells of events as they come', async (t) => {
  const echo = await start(t, 'echo', '-p', '0', '--json', '--interval', '0.1')
  const client = await talk(t, echo.port)
  await client.say('hello')
  await client.hear(/hello/)
  await echo.line(/"event":"traffic","connections":1,.*"bytesWritten":5/)
  t.is(await interrupt(echo), 0)
  const all = events(echo)
  t.deepEqual(all[0], {
    event: 'listening',
    address: { family: 'IPv4', address: '127.0.0.1', port: echo.port },
  })
  const counts = { accepts: 1, bytesRead: 5, bytesWritten: 5 }
  t.deepEqual(all.at(-1), { event: 'stopped', ...counts, isInTime: true })
})

onPosix('echo listens on a unix socket too', async (t) => {
  const folder = mkdtempSync('/tmp/nodepoll-')
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'socket')
  const program = new Program(MAIN, ['echo', '--path', path])
  t.teardown(() => program.child.kill('SIGKILL'))
  await program.line(new RegExp(`^listening on ${path}$`))
  const client = await talkTo(t, { path })
  await client.say('hello')
  t.is(await client.hear(/hello/), 'hello')
  t.is(await interrupt(program), 0)
})

/** A client that sends and never reads, so that its connection does not become idle. */
async function flood(t: ExecutionContext, echo: Program): Promise<void> {
  const { socket } = await talk(t, echo.port)
  socket.pause()
  const piece = Buffer.alloc(1 << 20)
  const send = (): unknown => socket.write(piece, (error) => error ?? send())
  send()
  await echo.line(/"bytesRead":[1-9]\d{6}/)
}

onPosix('echo cuts off who has not ended when its time is over', async (t) => {
  const echo = await start(t, 'echo', '-p', '0', '--grace', '0.2', '--json', '--interval', '0.1')
  await flood(t, echo)
  t.is(await interrupt(echo), 0)
  t.is(events(echo).at(-1)?.['isInTime'], false)
})

onPosix('a second Ctrl-C does not wait', async (t) => {
  const echo = await start(t, 'echo', '-p', '0', '--grace', '600', '--json', '--interval', '0.1')
  await flood(t, echo)
  echo.child.kill('SIGINT')
  await echo.line(/"event":"stopping","connections":1/)
  echo.child.kill('SIGINT')
  t.is(await echo.end(), null)
  t.is(echo.child.signalCode, 'SIGINT')
})

test.serial('a port that somebody else has is a sentence and exit code 1', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  const { status, stderr } = await nodepoll(t, 'echo', '--port', String(port))
  t.is(status, 1)
  t.is(stderr, `nodepoll: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`)
})

onPosix('proxy passes bytes and FIN on, and the reply back', async (t) => {
  const echo = await start(t, 'echo', '-p', '0')
  const proxy = await start(t, 'proxy', `127.0.0.1:${echo.port}`, '-p', '0')
  const client = await talk(t, proxy.port, { allowHalfOpen: true })
  client.socket.end('the last word')
  t.is(await client.ended(), 'the last word')
  t.is(await interrupt(proxy), 0)
  t.is(await interrupt(echo), 0)
  t.is(proxy.errors, '')
})

onPosix('proxy tells of a target that refuses, and goes on', async (t) => {
  const proxy = await start(t, 'proxy', '127.0.0.1:1', '-p', '0')
  for (let count = 0; count < 2; count++) await (await talk(t, proxy.port)).ended()
  t.is(await interrupt(proxy), 0)
  t.is(proxy.errors, 'connect ECONNREFUSED 127.0.0.1:1\n'.repeat(2))
})

test.serial('bench compares both servers, and checks what comes back', async (t) => {
  const short = ['--connections', '3', '--size', '64', '--seconds', '0.1', '--rounds', '2']
  const people = await nodepoll(t, 'bench', ...short)
  t.is(people.status, 0)
  t.regex(people.stdout, /^ +node:net +nodepoll +ratio$/m)
  t.regex(people.stdout, /^requests\/s .*\(.*–.*\).* \d+\.\d\d$/m)
  const { status, stdout } = await nodepoll(t, 'bench', ...short, '--pipeline', '8', '--json')
  t.is(status, 0)
  const { load, rounds, results } = JSON.parse(stdout) as {
    load: unknown
    rounds: Record<string, { requestsPerSecond: number; cpuMicrosPerRequest: number }[]>
    results: Record<string, { requestsPerSecond: { median: number; min: number; max: number } }>
  }
  t.deepEqual(load, { connections: 3, size: 64, pipeline: 8, seconds: 0.1 })
  for (const name of ['node:net', 'nodepoll']) {
    t.is(rounds[name]?.length, 2)
    for (const round of rounds[name] ?? []) {
      t.true(round.requestsPerSecond > 10 && round.cpuMicrosPerRequest > 0)
    }
    const { min, median, max } = results[name]?.requestsPerSecond ?? { min: 0, median: 0, max: 0 }
    t.true(min <= median && median <= max && min > 0)
  }
})

onLinux('bench ends at Ctrl-C with what it has, and leaves no process', async (t) => {
  const bench = new Program(MAIN, ['bench', '--connections', '2', '--seconds', '60', '--json'])
  t.teardown(() => bench.child.kill('SIGKILL'))
  let pids: string[] = []
  await eventually(() => {
    const { pid } = bench.child
    pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? []
    return pids.length === 2
  }, 'the processes of a bench')
  t.is(await interrupt(bench), 130)
  t.deepEqual((events(bench)[0] as { rounds: unknown }).rounds, { 'node:net': [], nodepoll: [] })
  for (const pid of pids) t.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' })
})

test.serial('doctor finds that nodepoll works here', async (t) => {
  const people = await nodepoll(t, 'doctor')
  t.is(people.status, 0, people.stdout)
  t.regex(people.stdout, /^ {2}✔ native library +\S.*\.node, [\d.]+ [KM]iB$/m)
  t.regex(people.stdout, /^ {2}✔ TCP, thread +4 MiB unchanged in [\d,]+ ms$/m)
  t.regex(people.stdout, /nodepoll works here\./)
  const { status, stdout } = await nodepoll(t, 'doctor', '--json')
  t.is(status, 0)
  const { isGood, checks } = JSON.parse(stdout) as {
    isGood: boolean
    checks: Record<string, { name: string; status: string }[]>
  }
  t.true(isGood)
  const names = checks['System']?.map(({ name }) => name)
  t.deepEqual(names, ['platform', 'runtime', 'processors', 'memory', 'descriptors', 'backlog'])
  t.true(checks['Self-test']?.some(({ status: each }) => each === 'good'))
})

test.serial('doctor says what is to be done where the native library is missing', async (t) => {
  mkdirSync(`${root}/target`, { recursive: true })
  const folder = mkdtempSync(`${root}/target/cli-`)
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(`${root}/package.json`, `${folder}/package.json`)
  cpSync(`${root}/dist`, `${folder}/dist`, {
    recursive: true,
    filter: (path) => !path.endsWith('.node'),
  })
  const run = (...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [`${folder}/dist/cli/main.js`, ...args], { encoding: 'utf8' })
  const doctor = run('doctor')
  t.is(doctor.status, 1)
  t.regex(String(doctor.stdout), /✘ native library +does not load\n {27}cannot load /)
  t.regex(String(doctor.stdout), /^ {27}The optional dependency .* is missing\. Install /m)
  t.regex(String(doctor.stdout), /nodepoll does not work here\.\n$/)
  t.is(doctor.stderr, '')
  const echo = run('echo')
  t.is(echo.status, 1)
  t.regex(
    String(echo.stderr),
    /^nodepoll: cannot load the native library .*\nRun `nodepoll doctor`/s,
  )
})

onPosix('doctor warns of few descriptors, which is no failure', (t) => {
  const command = `ulimit -n 1000; exec "${process.execPath}" ${root}/${MAIN} doctor`
  const { status, stdout } = spawnSync('sh', ['-c', command], { encoding: 'utf8' })
  t.is(status, 0)
  t.regex(stdout, /^ {2}! descriptors +1,000, up to .*\n +Each connection takes one: `ulimit -n /m)
  t.regex(stdout, /nodepoll works here\. There is one limit to think of\.\n$/)
})
