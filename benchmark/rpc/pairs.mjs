// Who calls whom over few connections: calls in the frames of nodepoll/rpc, and callers who compare
// every reply with their request.
import { PlainError } from '../../scripts/requirements.mjs'
import { findRivals } from '../rivals.mjs'

const pathOf = (file) => new URL(file, import.meta.url).pathname
const node = (file, ...args) => [process.execPath, pathOf(file), ...args]

/** Servers, by the names that tables have for them. */
const servers = {
  'node:net, a write a call': () => node('net-server.mjs', '0', '--each'),
  'node:net, a write a turn': () => node('net-server.mjs', '0'),
  nodepoll: () => node('nodepoll-server.mjs', '0'),
  'Go netpoll, mux': () => go('-mux', '0'),
  'Go netpoll, in batches': () => go('-batch', '0'),
}

/** Callers, likewise. */
const clients = {
  'node:net, a write a call': (numbers) => node('callers.mjs', 'each', ...numbers),
  'node:net, a write a turn': (numbers) => node('callers.mjs', 'node:net', ...numbers),
  nodepoll: (numbers) => node('callers.mjs', 'nodepoll', ...numbers),
  'Go netpoll, mux': (numbers) => go('-call', ...numbers),
}

/**
 * What is compared. In the first table both ends are of a kind; in the others all servers have the
 * same callers, and all callers the same server. Ratios are to the first line.
 */
export const rpcContests = {
  pairs: {
    title: 'callers and server',
    pairs: Object.keys(clients).map((name) => ({ name, client: name, server: name })),
  },
  servers: {
    title: 'servers, called by nodepoll',
    pairs: Object.keys(servers).map((name) => ({ name, client: 'nodepoll', server: name })),
  },
  callers: {
    title: 'callers, of nodepoll',
    pairs: Object.keys(clients).map((name) => ({ name, client: name, server: 'nodepoll' })),
  },
}

/**
 * The pairs of a contest that are there, with their command lines, for `measurePairs`; `leftOut`
 * hears of the others. `load` is what options say: callers, connections, size, warmup, seconds.
 */
export async function findPairs(contest, load, leftOut) {
  const { callers, connections, size, warmup, seconds } = load
  const numbers = ['{port}', ...[callers, connections, size, warmup, seconds].map(String)]
  const found = []
  for (const { name, client, server } of contest.pairs) {
    try {
      const commands = [servers[server](), clients[client](numbers)]
      const [serving, calling] = await Promise.all(commands)
      found.push({ name, server: serving, callers: calling })
    } catch (error) {
      if (!(error instanceof PlainError)) throw error
      leftOut(`${name} is left out: ${error.message}`)
    }
  }
  return found
}

let goProgram

async function go(flag, ...args) {
  goProgram ??= findRivals(['Go netpoll']).then(({ rivals: [rival] }) => rival.command('echo'))
  // Flags of Go come before arguments.
  return [...(await goProgram), flag, ...args]
}
