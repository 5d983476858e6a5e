// Bun's sockets take what the kernel takes, and say how much that was: the rest has to wait for
// `drain`.

/** Writes to one socket, in order, however much of it the kernel takes at a time. */
export class Sender {
  #socket
  /** What the kernel has not taken, oldest first. */
  #waiting = []

  constructor(socket) {
    this.#socket = socket
  }

  /** The bytes have to stay as they are. */
  send(bytes) {
    if (this.#waiting.length > 0) return void this.#waiting.push(bytes)
    const taken = Math.max(0, this.#socket.write(bytes))
    if (taken < bytes.length) this.#waiting.push(bytes.subarray(taken))
  }

  /** To be called from `drain`. */
  goOn() {
    while (this.#waiting.length > 0) {
      const [bytes] = this.#waiting
      const taken = Math.max(0, this.#socket.write(bytes))
      if (taken < bytes.length) {
        this.#waiting[0] = bytes.subarray(taken)
        return
      }
      this.#waiting.shift()
    }
  }
}
