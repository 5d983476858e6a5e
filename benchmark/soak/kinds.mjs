// The kinds of clients. Each is an object of
//
//   name         for messages
//   weight       how often it is chosen, in relation to the others
//   plan         (random) => what is going to happen; both sides make it from the client's seed
//   cost         (plan) => bytes of the server's memory that it may need; few if left out
//   halfCloses   whether the client must be able to send FIN and go on reading
//   greets       whether `client` sends `session.hello` by itself, or not at all
//   client       async (peer, session) => all that the client does; peer: see net-peer.mjs
//   begin        (connection, session) => what the server does when it knows who it is; optional
//   serve        (connection, session) => the server's onRequest from then on
//   reasons      (plan, isUnix) => by whom the server's connection may end
//
// To add one, write it into a file of `kinds/` and its name here.
import { echo, large, short } from './kinds/echo.mjs'
import { byServer } from './kinds/ends-by-server.mjs'
import { halfClose, resetByClient, sendAndFinish } from './kinds/ends-by-client.mjs'
import { frames } from './kinds/frames.mjs'
import { flood } from './kinds/flood.mjs'
import { forgotten, idle, silent, slowReader, slowWriter } from './kinds/pace.mjs'
import { proxy } from './kinds/proxy.mjs'
import { slices } from './kinds/slices.mjs'

export const kinds = [
  echo,
  short,
  large,
  frames,
  slowReader,
  slowWriter,
  idle,
  forgotten,
  silent,
  sendAndFinish,
  halfClose,
  resetByClient,
  flood,
  ...byServer,
  slices,
  proxy,
]
