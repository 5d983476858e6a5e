import type { Chain } from './chain.ts'

/**
 * Views that show their late use: each is memory of its own, which is detached when the view ends.
 * From then on it has no length, and what writes to it throws or does nothing.
 */
export class Guard {
  #views: ArrayBuffer[] = []

  /** A view of its own of `bytes` bytes with undefined content. */
  view(bytes: number): Buffer {
    const buffer = new ArrayBuffer(bytes)
    this.#views.push(buffer)
    return Buffer.from(buffer)
  }

  /** A view of its own of bytes of a chain. They are there. */
  copy(chain: Chain, bytes: number, offset: number): Buffer {
    const view = this.view(bytes)
    chain.copyTo(view, offset)
    return view
  }

  /** Ends all views. */
  end(): void {
    const views = this.#views
    this.#views = []
    for (const buffer of views) {
      // Unless its user has transferred it. Node 20 has no `transfer()`.
      if (buffer.byteLength > 0) structuredClone(buffer, { transfer: [buffer] })
    }
  }
}
