import { markAsUntransferable } from 'node:worker_threads'

const PAGE_BYTES = 64 << 10

/** As much of WebAssembly as is needed here; Node's type declarations leave it to the DOM's. */
interface WasmHost {
  readonly WebAssembly?: {
    readonly Memory: new (pages: { initial: number; maximum: number }) => {
      readonly buffer: ArrayBuffer
    }
  }
}

/**
 * Zeroed memory that stays where it is for ever.
 *
 * Every view that users get leads here by its `.buffer`, and an ArrayBuffer can be transferred away
 * by whoever holds it: other connections' bytes would be gone with it, while native code keeps its
 * address. The buffer of a WebAssembly memory cannot be detached by anybody but the memory itself,
 * to which nobody else has access. Where there is no WebAssembly a marked ArrayBuffer has to do.
 */
export function allocateChunk(bytes: number): Buffer {
  const { WebAssembly } = globalThis as WasmHost
  const pages = Math.ceil(bytes / PAGE_BYTES)
  if (WebAssembly !== undefined) {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    return Buffer.from(memory.buffer, 0, bytes)
  }
  const buffer = new ArrayBuffer(bytes)
  markAsUntransferable(buffer)
  return Buffer.from(buffer)
}
