// What the server can do, with the smallest and largest number of arguments of each command.
import { BYE, CommandError, OK, PONG } from './replies.mjs'
import * as store from './store.mjs'
import { add, get, integer, set, ttl } from './strings.mjs'

const commands = {
  PING: [0, 1, (text) => text ?? PONG],
  ECHO: [1, 1, (text) => text],
  GET: [1, 1, get],
  SET: [2, 5, set],
  DEL: [1, Infinity, (...keys) => keys.filter(store.remove).length],
  EXISTS: [1, Infinity, (...keys) => keys.filter(store.find).length],
  INCR: [1, 1, (key) => add(key, 1)],
  INCRBY: [2, 2, (key, amount) => add(key, integer(amount))],
  MGET: [1, Infinity, (...keys) => keys.map(get)],
  TTL: [1, 1, ttl],
  DBSIZE: [0, 0, store.count],
  FLUSHALL: [0, 1, () => (store.clear(), OK)],
  QUIT: [0, 0, () => BYE],
  // What clients ask when they have connected.
  CLIENT: [1, Infinity, () => OK],
  COMMAND: [0, Infinity, () => []],
  INFO: [0, 1, () => Buffer.from('redis_version:7.0.0\r\nloading:0\r\n')],
}

/** Runs a request. What it cannot do is a reply too: the connection goes on. */
export function run([name, ...args]) {
  const [min, max, call] = commands[name.toString().toUpperCase()] ?? []
  if (call === undefined) return new CommandError(`unknown command '${name}'`)
  if (args.length < min || args.length > max) {
    return new CommandError(`wrong number of arguments for '${name}' command`)
  }
  try {
    return call(...args)
  } catch (error) {
    if (error instanceof CommandError) return error
    throw error
  }
}
