import { RPC_NAMES_MAX } from '../internal/limits.ts'
import type { RpcHandler } from './options.ts'

/** A method, by the bytes of its name. */
export interface Method {
  readonly name: string
  readonly bytes: Buffer
  readonly handler: RpcHandler
  /** The next one whose name has the same hash. */
  next: Method | undefined
}

/** The methods of a server, found by the bytes of their names without making strings of them. */
export class MethodTable {
  readonly #byHash: Map<number, Method> = new Map()
  readonly #fallback: RpcHandler | undefined
  #count = 0

  /** `fallback` is for names that are none of `methods`. */
  constructor(methods: Iterable<[string, RpcHandler]>, fallback: RpcHandler | undefined) {
    this.#fallback = fallback
    for (const [name, handler] of methods) this.#add(name, handler)
  }

  /** The method whose name lies at `at`, or `undefined`. */
  find(bytes: Buffer, at: number, length: number): Method | undefined {
    let method = this.#byHash.get(hashOf(bytes, at, length))
    while (method !== undefined && !isAt(method.bytes, bytes, at, length)) method = method.next
    if (method !== undefined || this.#fallback === undefined) return method
    const name = bytes.toString('utf8', at, at + length)
    if (this.#count < RPC_NAMES_MAX) return this.#add(name, this.#fallback)
    return { name, bytes, handler: this.#fallback, next: undefined }
  }

  #add(name: string, handler: RpcHandler): Method {
    const bytes = Buffer.from(name)
    const hash = hashOf(bytes, 0, bytes.length)
    const method = { name, bytes, handler, next: this.#byHash.get(hash) }
    this.#byHash.set(hash, method)
    this.#count++
    return method
  }
}

function hashOf(bytes: Buffer, at: number, length: number): number {
  let hash = length
  for (let index = at; index < at + length; index++) {
    hash = (Math.imul(hash, 31) + (bytes[index] as number)) | 0
  }
  return hash
}

function isAt(name: Buffer, bytes: Buffer, at: number, length: number): boolean {
  if (name.length !== length) return false
  for (let index = 0; index < length; index++) {
    if (name[index] !== bytes[at + index]) return false
  }
  return true
}
