import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'
import { type RpcCall, type RpcClient, RpcError } from 'nodepoll/rpc'

import { codeOf, eventually, within } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'
import { clientOf, startRpc } from './helpers/rpc.ts'
import { portOf, startNetServer } from './helpers/server.ts'
import { randomFrom, randomSize } from './helpers/stream.ts'

const seed = Number(process.env['NODEPOLL_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const CALLS = Number(process.env['NODEPOLL_CALLS'] ?? 4000)
const CALLERS = 60

interface Request {
  readonly number: number
  readonly way: number
  readonly text: string
}

/** What a call may end with, if the client has not asked for it. */
const lost = new Set(['ERR_NODEPOLL_RPC_CONNECTION_LOST', 'ERR_NODEPOLL_RPC_UNAVAILABLE'])

test.serial(
  'each call settles once, with its own reply or a reason, whatever is cut or cancelled',
  async (t) => {
    t.timeout(120_000)
    t.log(`NODEPOLL_SEED=${seed} NODEPOLL_CALLS=${CALLS} npx ava __test__/rpc-exactly-once.spec.ts`)
    await leakCheck(t)
    const random = randomFrom(seed)
    const begun = new Map<number, number>()
    const server = await startRpc(t, {
      concurrencyMax: 16,
      methods: {
        async work({ number, way, text }: Request, { signal }: RpcCall) {
          begun.set(number, (begun.get(number) ?? 0) + 1)
          if (way > 0.5) await sleep((way - 0.5) * 8, undefined, way > 0.9 ? {} : { signal })
          if (way > 0.45 && way < 0.5) throw new RpcError('OWN', `failure ${number}`)
          return { number, text }
        },
      },
      onError: (error) => t.log(String(error)),
    })
    // Between them: connections that break at any moment.
    const sockets = new Set<Socket>()
    const { port } = await startNetServer(t, (socket) => {
      const other = connect({ host: '127.0.0.1', port: portOf(server.address) })
      sockets.add(socket)
      other.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      other.on('close', () => socket.destroy())
      socket.pipe(other).pipe(socket)
    })
    const client = clientOf(t, port, { connections: 4, backoffMs: 1, backoffMaxMs: 5 })
    const outcomes = new Map<string, number>()
    let next = 0

    async function caller(): Promise<void> {
      while (next < CALLS) {
        const number = next++
        const request = { number, way: random(), text: 'x'.repeat(randomSize(random, 20_000)) }
        const fate = random()
        const aborter = new AbortController()
        const options = {
          ...(fate < 0.1 && { timeoutMs: 1 + Math.floor(random() * 4) }),
          ...(fate > 0.9 && { signal: aborter.signal }),
        }
        if (fate > 0.9) setTimeout(() => aborter.abort(new Error('own')), random() * 4)
        const outcome = await settle(client, request, options)
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (random() < 0.01) [...sockets][Math.floor(random() * sockets.size)]?.resetAndDestroy()
      }
    }

    async function settle(from: RpcClient, request: Request, options: object): Promise<string> {
      const { number, way, text } = request
      let settled = 0
      const call = from.call<Request>('work', request, options)
      call.finally(() => settled++).catch(() => {})
      try {
        const reply = await within(call, `call ${number}`, 30_000)
        if (reply.number !== number || reply.text !== text) return 'wrong'
        if (begun.get(number) !== 1) return `begun ${begun.get(number)} times`
        return 'reply'
      } catch (error) {
        const code = codeOf(error)
        if (code === 'OWN') {
          return way > 0.45 && way < 0.5 && (error as Error).message === `failure ${number}`
            ? 'own failure'
            : 'wrong'
        }
        if (lost.has(String(code))) return 'lost'
        if (code === 'ERR_NODEPOLL_RPC_TIMEOUT') return 'timeoutMs' in options ? 'late' : 'wrong'
        return (error as Error).message === 'own' ? 'aborted' : `wrong: ${String(error)}`
      } finally {
        await Promise.resolve()
        if (settled > 1) t.fail(`${number} has settled ${settled} times`)
      }
    }

    await Promise.all(Array.from({ length: CALLERS }, caller))
    t.log(Object.fromEntries(outcomes))
    const known = ['aborted', 'late', 'lost', 'own failure', 'reply']
    t.deepEqual([...outcomes.keys()].toSorted(), known)
    t.true((outcomes.get('reply') ?? 0) > CALLS / 2)
    t.true(
      [...begun.values()].every((count) => count === 1),
      'no call was begun twice',
    )
    t.is(client.callCount, 0)
    await eventually(() => server.callCount === 0, 'the ends of the handlers')
    await within(client.close(), 'the close')
    await eventually(() => server.connectionCount === 0, 'the ends of connections')
  },
)
