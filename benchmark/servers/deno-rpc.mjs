// A request/reply server on Deno.listen, for Deno alone: each frame is answered by one with the
// same payload. The first argument: the port, 0 picks one.
/* global Deno */
import { listen } from './deno-connections.mjs'
import { FrameReplies } from './frames.mjs'

await listen(Number(Deno.args[0]), () => {
  const frames = new FrameReplies()
  return (bytes) => frames.toReplies(bytes)
})
