// An echo server on Deno.listen, for Deno alone. The first argument: the port, 0 picks one.
/* global Deno */
import { listen } from './deno-connections.mjs'

await listen(Number(Deno.args[0]), () => (bytes) => bytes)
