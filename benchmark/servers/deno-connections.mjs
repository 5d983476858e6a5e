// The loops of a server on Deno.listen: accept, read, answer.
/* global Deno */

const READ_BYTES = 64 * 1024

/**
 * Listens on `port` of 127.0.0.1 and says so. `makeAnswer` makes for each connection what is called
 * with the bytes that have come, and gives the bytes to send, if any.
 */
export async function listen(port, makeAnswer) {
  const listener = Deno.listen({ hostname: '127.0.0.1', port, tcpBacklog: 1024 })
  console.log(`listening ${listener.addr.port}`)
  for await (const connection of listener) {
    connection.setNoDelay(true)
    // A peer that resets its connection ends that connection only.
    serve(connection, makeAnswer()).catch(() => {})
  }
}

/** A read that waits holds its memory, so each connection has some of its own. */
async function serve(connection, answer) {
  const memory = new Uint8Array(READ_BYTES)
  try {
    for (;;) {
      const length = await connection.read(memory)
      if (length === null) return
      const bytes = answer(memory.subarray(0, length))
      if (bytes !== undefined) await writeAll(connection, bytes)
    }
  } finally {
    connection.close()
  }
}

async function writeAll(connection, bytes) {
  let written = 0
  while (written < bytes.length) {
    written += await connection.write(written === 0 ? bytes : bytes.subarray(written))
  }
}
