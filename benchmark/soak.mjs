// npm run soak: clients of all kinds against a server on nodepoll, for as long as is wanted.
// Every byte, every callback and everything that is held is checked; the first thing that is
// wrong ends the run with exit code 1. See soak/kinds.mjs for what the clients do.
import { PlainError } from '../scripts/requirements.mjs'
import { runScript, setup } from '../scripts/setup.mjs'
import { integer, number, readOptions } from './options.mjs'

const HOSTS = ['auto', 'thread', 'inline', 'restless']

const purpose =
  'Runs clients of all kinds, of node:net and of nodepoll, against a server on nodepoll, and\n' +
  'checks bytes, callbacks, descriptors and memory. The first thing that is wrong ends it.'

const declarations = {
  minutes: { value: 'N', default: 10, read: number(0.1, 100_000), help: 'how long' },
  seed: {
    value: 'N',
    read: integer(0, 2 ** 32 - 1),
    help: 'what the random choices follow from (default random)',
  },
  clients: { value: 'N', default: 200, read: integer(1, 10_000), help: 'clients at a time' },
  'memory-max': {
    value: 'MIB',
    default: 128,
    read: integer(64, 65_536),
    help: 'memoryMax of each process, in MiB',
  },
  host: { value: 'NAME', default: HOSTS[0], read: host, help: `who turns: ${HOSTS.join(', ')}` },
  pollers: { value: 'N', default: 2, read: integer(1, 64), help: 'I/O threads of each process' },
}

await runScript(async () => {
  const options = readOptions('soak', purpose, declarations)
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32)
  // For both processes. Restless drivers change hands all the time, as the seed says.
  process.env.NODEPOLL_HOST = options.host === 'restless' ? `restless:${seed}` : options.host
  await setup()
  // What this imports may be there only now.
  const { soak } = await import('./soak/run.mjs')
  await soak({ ...options, seed })
})

function host(text) {
  if (HOSTS.includes(text)) return text
  throw new PlainError(`expected ${HOSTS.join(', ')}, not '${text}'`)
}
