// How a stream gets the bytes of a connection: as copies, or by reference with a lease.
//
//   node benchmark/stream-chunks.mjs [--rounds N]
//
// ASKED
// Whether a chunk of a stream may be the memory that was received into, given back when the garbage
// collector finds the chunk, and what that gains.
//
// FOUND
// It may not: consumers keep parts of chunks (`subarray`), which hold the ArrayBuffer and not the
// chunk; and the ArrayBuffer is one that all connections receive into. What it would have gained,
// CPU of a chunk in µs, the writing of its bytes included, on two cores of a virtual machine:
//
//   bytes   copy   copy, slabs of 64 KiB   of 256 KiB   lease until collected
//      64   0.31                    0.27         0.28                    2.57
//   1,024   0.66                    0.49         0.46                    4.56
//   4,096   6.2                     1.23         1.20                    1.66
//  16,384   7.7                     4.6          4.0                     2.5
//  65,536  28                      15           13                       8.9
//
// For small chunks a lease costs many times the copy: a slice, its finalizer, and the collections
// in which it is found. For large ones it would save half, if it were allowed.
//
// DECIDED
// Copies; from 4 KiB on, for which Node has no pool, into slabs of 64 KiB. Larger slabs gain no
// more, and a kept part of a chunk would hold them.
import { LinkBuffer } from 'nodepoll'

import { isMain } from '../scripts/setup.mjs'
import { align, withSpread } from './table.mjs'

const ROUND_BYTES = 256 << 20
const ROUND_CHUNKS_MAX = 400_000

/** Copies chunks behind each other into one Buffer, and then into the next. */
function slabOf(slabBytes) {
  let slab = Buffer.alloc(0)
  let at = 0
  return (input, size) => {
    if (at + size > slab.length) {
      slab = Buffer.allocUnsafeSlow(slabBytes)
      at = 0
    }
    const chunk = slab.subarray(at, at + size)
    at += size
    input.next(size).copy(chunk)
    return chunk
  }
}

const held = new FinalizationRegistry((slice) => slice.close())

const variants = {
  copy: (input, size) => input.readBinary(size),
  'copy, slabs of 64 KiB': slabOf(64 << 10),
  'copy, slabs of 128 KiB': slabOf(128 << 10),
  'copy, slabs of 256 KiB': slabOf(256 << 10),
  'lease until collected': (input, size) => {
    const slice = input.slice(size)
    const chunk = slice.peek(size)
    held.register(chunk, slice)
    return chunk
  },
  'lease, given back at once': (input, size) => {
    const slice = input.slice(size)
    const chunk = slice.peek(size)
    slice.close()
    return chunk
  },
}

/** CPU time of a chunk, what the garbage collector costs included. */
async function measure(take, size) {
  const chunks = Math.min(ROUND_CHUNKS_MAX, ROUND_BYTES / size)
  const input = new LinkBuffer()
  const bytes = Buffer.alloc(size, 1)
  const before = process.cpuUsage()
  let sum = 0
  for (let index = 0; index < chunks; index++) {
    input.writeBinary(bytes).flush()
    sum += take(input, size)[size - 1]
    input.release()
    // Where events are dispatched, and finalizers run.
    if (index % 64 === 63) await new Promise(setImmediate)
  }
  const { user, system } = process.cpuUsage(before)
  input.close()
  if (sum !== chunks) throw new Error('wrong bytes')
  return (user + system) / chunks
}

export async function main(rounds) {
  for (const size of [64, 1024, 4096, 16_384, 32_768, 65_536]) {
    const results = Object.fromEntries(Object.keys(variants).map((name) => [name, []]))
    for (let round = 0; round <= rounds; round++) {
      for (const [name, take] of Object.entries(variants)) {
        const us = await measure(take, size)
        if (round > 0) results[name].push(us)
      }
    }
    const rows = Object.entries(results).map(([name, values]) => [name, withSpread(values, 2)])
    console.log(`${align([[`${size} B`, 'CPU, µs/chunk'], ...rows])}\n`)
  }
}

if (isMain(import.meta.url)) {
  const at = process.argv.indexOf('--rounds')
  await main(at < 0 ? 3 : Number(process.argv[at + 1]))
}
