// The data: strings that may have a time at which they go.
const entries = new Map() // { value, deadline } by key

/** Keys are bytes, and this is the string that is theirs alone. */
const nameOf = (key) => key.toString('latin1')

/** The entry of a key, unless its time has come. */
export function find(key) {
  const entry = entries.get(nameOf(key))
  if (entry === undefined || entry.deadline > Date.now()) return entry
  entries.delete(nameOf(key))
  return undefined
}

/** Requests are views of memory that is used again, so what is kept of them is copied. */
export function put(key, value, deadline = Infinity) {
  entries.set(nameOf(key), { value: Buffer.from(value), deadline })
}

export function remove(key) {
  return find(key) !== undefined && entries.delete(nameOf(key))
}

export function clear() {
  entries.clear()
}

export function count() {
  return entries.size
}
