// A service: answers each call as soon as it is done, in any order, and stops gracefully.
import { serve } from 'nodepoll'

import { FAILED, INVALID_PARAMS, METHOD_NOT_FOUND, onMessage, send, STOPPING } from './protocol.mjs'

/** Calls that one connection may have under way. More of them wait in its socket. */
const CALLS_MAX = 64

/** Serves `methods`, a Map of functions by name, until `stop()` is called. */
export async function startService(methods, options) {
  const calls = new Set() // of all connections
  let isStopping = false

  const server = await serve({
    onError: (error) => console.error(error.message),
    ...options,
    onConnect: () => new Set(), // the calls of this connection
    onRequest: onMessage((message, connection, own) => {
      const call = answer(message, connection)
        .catch((error) => connection.destroy(error))
        .finally(() => [calls, own].forEach((set) => set.delete(call)))
      for (const set of [calls, own]) set.add(call)
      // While a handler is pending no further message of its connection is handled.
      if (own.size >= CALLS_MAX) return Promise.race(own)
    }),
  })

  async function answer({ id, method, params }, connection) {
    const reply = await run(method, params, connection.signal)
    if (connection.isActive) await send(connection, { id, ...reply })
  }

  async function run(name, params, signal) {
    if (isStopping) return failure(STOPPING, 'stopping: ask another instance')
    const method = methods.get(name)
    if (method === undefined) return failure(METHOD_NOT_FOUND, `no method '${name}'`)
    if (!Array.isArray(params)) return failure(INVALID_PARAMS, 'params is not an array')
    try {
      return { result: await method(params, signal) }
    } catch (error) {
      return failure(FAILED, error.message)
    }
  }

  /** Takes no more, finishes what is under way, ends. Rejects if that was too late. */
  async function stop(deadlineMs = 10_000) {
    isStopping = true
    const signal = AbortSignal.timeout(deadlineMs)
    const late = new Promise((resolve) => signal.addEventListener('abort', resolve))
    await server.close()
    while (calls.size > 0 && !signal.aborted) await Promise.race([Promise.all(calls), late])
    await server.shutdown({ signal, force: true })
  }

  return { address: server.address, stop }
}

function failure(code, message) {
  return { error: { code, message } }
}
