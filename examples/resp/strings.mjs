// Commands on strings. Arguments are Buffers.
import { CommandError, OK } from './replies.mjs'
import * as store from './store.mjs'

export function get(key) {
  return store.find(key)?.value ?? null
}

export function set(key, value, ...options) {
  let deadline
  const words = options.map((word) => word.toString().toUpperCase())
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === 'EX') deadline = Date.now() + integer(words.shift()) * 1000
    else if (word === 'PX') deadline = Date.now() + integer(words.shift())
    else if (word !== 'NX' && word !== 'XX') throw new CommandError('syntax error')
    else if ((word === 'XX') !== (store.find(key) !== undefined)) return null
  }
  store.put(key, value, deadline)
  return OK
}

export function ttl(key) {
  const deadline = store.find(key)?.deadline
  if (deadline === undefined) return -2
  return deadline === Infinity ? -1 : Math.ceil((deadline - Date.now()) / 1000)
}

export function add(key, amount) {
  const { value = '0', deadline } = store.find(key) ?? {}
  const sum = integer(String(integer(value) + amount))
  store.put(key, String(sum), deadline)
  return sum
}

export function integer(text) {
  const number = Number(text)
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(number)) return number
  throw new CommandError('value is not an integer or out of range')
}
