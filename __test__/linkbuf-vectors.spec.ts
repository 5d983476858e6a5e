import { readFileSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { LinkBuffer } from 'nodepoll'

import { codeOf } from './helpers/deadline.ts'
import { leakCheck } from './helpers/leaks.ts'

type Bytes = string | { readonly count: number; readonly from: number }

interface Step {
  readonly op: string
  readonly args: readonly unknown[]
  readonly on?: string
  readonly as?: string
  readonly result?: unknown
  readonly error?: string
}

interface Case {
  readonly name: string
  readonly nodes: readonly Bytes[]
  readonly nodeSizes: readonly number[]
  readonly steps: readonly Step[]
  readonly remaining: Bytes
  readonly unflushed: Bytes
}

const table = new URL('../testdata/linkbuf-vectors.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(table, 'utf8')) as { cases: readonly Case[] }

/** As many as there were when this was written: a table that got lost would pass otherwise. */
const CASES_MIN = 215

/** Stands for a step that answers nothing to be compared. */
const NOTHING = Symbol('nothing')

const TYPES: Readonly<Record<string, string>> = {
  u8: 'UInt8',
  i8: 'Int8',
  u16: 'UInt16',
  i16: 'Int16',
  u32: 'UInt32',
  i32: 'Int32',
  u64: 'BigUInt64',
  i64: 'BigInt64',
  f32: 'Float',
  f64: 'Double',
}

function bytesOf(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(value, 'hex')
  const { count, from } = value as { count: number; from: number }
  return Buffer.from(Array.from({ length: count }, (_, index) => (from + index) % 251))
}

/** The buffers of one case by name. */
class Buffers {
  readonly #byName = new Map<string, LinkBuffer>()
  /** Its bytes lie between those of two nodes, so that they cannot become one. */
  readonly #spacer = new LinkBuffer()

  create(t: ExecutionContext, name: string, nodes: readonly Bytes[]): void {
    const buffer = new LinkBuffer()
    for (const node of nodes) {
      buffer.writeBinary(bytesOf(node)).flush()
      this.#spacer.writeByte(0)
    }
    const sizes = nodes.map((node) => bytesOf(node).length).filter((size) => size > 0)
    t.deepEqual(
      [...buffer.chunks()].map(({ length }) => length),
      sizes,
      'each piece is a node of its own',
    )
    buffer.release()
    this.#byName.set(name, buffer)
  }

  get(name: string): LinkBuffer {
    const buffer = this.#byName.get(name)
    if (buffer === undefined) throw new Error(`no buffer named ${name}`)
    return buffer
  }

  run(t: ExecutionContext, step: Step): unknown {
    const { op, args, on = 'main', as = '' } = step
    if (op === 'create') {
      this.create(t, as, args[0] as readonly Bytes[])
    } else if (op === 'slice') {
      this.#byName.set(as, this.get(on).slice(args[0] as number))
    } else if (op === 'append') {
      this.get(on).append(this.get(args[0] as string))
    } else {
      return calls[op]?.(this.get(on), ...args) ?? fail(`no such operation: ${op}`)
    }
    return NOTHING
  }

  close(): void {
    this.#spacer.close()
    for (const buffer of this.#byName.values()) buffer.close()
  }
}

function fail(message: string): never {
  throw new Error(message)
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

type Numbers = Record<string, (value?: number | bigint) => number | bigint>

/** The name of a call about a number, as `readUInt16BE` for `read` and `u16be`. */
function numberCall(verb: string, type: unknown): string {
  const [, kind = '', order = ''] = /^([uif]\d+)(be|le)?$/.exec(String(type)) ?? []
  return `${verb}${TYPES[kind]}${order.toUpperCase()}`
}

const numbersOf = (buffer: LinkBuffer): Numbers => buffer as unknown as Numbers

function textOf(value: unknown): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

type Arguments = readonly unknown[]

/** A call whose arguments go as they are and whose answer is not compared. */
function silent(name: 'skip' | 'mallocAck' | 'writeString' | 'writeByte' | 'release'): Call
function silent(name: 'close' | 'flush'): Call
function silent(name: string): Call {
  return (buffer, ...args) => {
    ;(buffer as unknown as Record<string, (...args: Arguments) => void>)[name]?.(...args)
    return NOTHING
  }
}

type Call = (buffer: LinkBuffer, ...args: Arguments) => unknown

const calls: Readonly<Record<string, Call>> = {
  next: (buffer, n) => hex(buffer.next(n as number)),
  peek: (buffer, n, offset) => hex(buffer.peek(n as number, offset as number)),
  skip: silent('skip'),
  readBinary: (buffer, n) => hex(buffer.readBinary(n as number)),
  readString: (buffer, n) => buffer.readString(n as number),
  readByte: (buffer) => buffer.readByte(),
  until(buffer, delimiter) {
    const view = buffer.until(bytesOf(delimiter))
    return view === undefined ? { absent: true } : hex(view)
  },
  indexOf: (buffer, delimiter, from) => buffer.indexOf(bytesOf(delimiter), from as number),
  chunks: (buffer) => hex(Buffer.concat([...buffer.chunks()])),
  length: (buffer) => buffer.length,
  mallocLength: (buffer) => buffer.mallocLength,
  release: silent('release'),
  close: silent('close'),
  flush: silent('flush'),
  malloc(buffer, n, bytes) {
    buffer.malloc(n as number).set(bytesOf(bytes))
    return NOTHING
  },
  mallocAck: silent('mallocAck'),
  writeBinary(buffer, bytes) {
    buffer.writeBinary(bytesOf(bytes))
    return NOTHING
  },
  writeString: silent('writeString'),
  writeByte: silent('writeByte'),
  writeDirect(buffer, bytes, remain) {
    buffer.writeDirect(bytesOf(bytes), remain as number)
    return NOTHING
  },
  readNumber: (buffer, type) => textOf(numbersOf(buffer)[numberCall('read', type)]?.()),
  peekNumber: (buffer, type, offset) =>
    textOf(numbersOf(buffer)[numberCall('peek', type)]?.(offset as number)),
  writeNumber(buffer, type, value) {
    const number = /64/.test(String(type)) && String(type)[0] !== 'f' ? BigInt : Number
    numbersOf(buffer)[numberCall('write', type)]?.(number(value as string))
    return NOTHING
  },
}

/** What a step answers, or the code of its error as the table writes it. */
function outcomeOf(t: ExecutionContext, buffers: Buffers, step: Step): unknown {
  try {
    return buffers.run(t, step)
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    return { error: code.replace(/^ERR_(NODEPOLL_)?/, '') }
  }
}

function wantedOf({ result, error }: Step): unknown {
  if (error !== undefined) return { error }
  if (result === undefined) return NOTHING
  return isRange(result) ? hex(bytesOf(result)) : result
}

function isRange(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'count' in value
}

test.serial('every case that all implementations of the buffer share', async (t) => {
  await leakCheck(t)
  let steps = 0
  for (const { name, nodes, nodeSizes, steps: list, remaining, unflushed } of cases) {
    t.deepEqual(
      nodes.map((node) => bytesOf(node).length),
      nodeSizes,
    )
    const buffers = new Buffers()
    buffers.create(t, 'main', nodes)
    for (const [index, step] of list.entries()) {
      const what = `${name}, step ${index}: ${JSON.stringify(step)}`
      t.deepEqual(outcomeOf(t, buffers, step), wantedOf(step), what)
      steps++
    }
    const main = buffers.get('main')
    t.is(hex(Buffer.concat([...main.chunks()])), hex(bytesOf(remaining)), `${name}, at the end`)
    main.skip(main.length)
    main.flush()
    t.is(hex(main.next(main.length)), hex(bytesOf(unflushed)), `${name}, unflushed`)
    buffers.close()
    t.is(main.length + main.mallocLength, 0, name)
  }
  // There is no step that this language cannot take, so none is left out.
  const all = cases.reduce((sum, { steps: list }) => sum + list.length, 0)
  t.is(steps, all)
  t.true(cases.length >= CASES_MIN)
})
