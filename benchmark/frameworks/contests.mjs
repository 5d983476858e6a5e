// What runs on sockets, with those of nodepoll in the place of node:net's: servers and clients that
// people use. In each contest one side is the same for both, and the other is what is compared.
import { findPairs, rpcContests } from '../rpc/pairs.mjs'

const resp = new URL('../../examples/resp/server.mjs', import.meta.url).pathname
const kinds = ['node:net', 'nodepoll']

const pathOf = (file) => new URL(file, import.meta.url).pathname
const node = (file, ...args) => [process.execPath, pathOf(file), ...args.map(String)]

/** `load` is what each run gets: callers, connections, size, warm-up and seconds. */
function httpPairs(depth) {
  return ({ connections, warmup, seconds }) =>
    kinds.map((name) => ({
      name,
      server: node('http-server.mjs', name, 0),
      callers: node('http-client.mjs', '{port}', connections, depth, warmup, seconds),
    }))
}

function grpcPairs({ callers, warmup, seconds }) {
  return kinds.map((name) => ({
    name,
    server: node('grpc-server.mjs', name, 0),
    callers: node('grpc-client.mjs', '{port}', callers, 4, 1024, warmup, seconds),
  }))
}

function redisPairs(clients) {
  return ({ warmup, seconds }) =>
    kinds.map((name) => ({
      name,
      server: [process.execPath, resp, '0'],
      callers: node('redis-client.mjs', name, '{port}', clients, 100, warmup, seconds),
    }))
}

/**
 * `find` resolves with the pairs for `measurePairs`; `ratios` are what the two are compared by:
 * how much there is, and the CPU time of the side that differs.
 */
export const contests = {
  http: {
    title: 'node:http, a request at a time',
    unit: 'request',
    ratios: ['callsPerSecond', 'serverUs'],
    find: httpPairs(1),
  },
  pipelined: {
    title: 'node:http, 16 requests under way',
    unit: 'request',
    ratios: ['callsPerSecond', 'serverUs'],
    find: httpPairs(16),
  },
  grpc: {
    title: 'a server of grpc-js',
    unit: 'call',
    ratios: ['callsPerSecond', 'serverUs'],
    find: grpcPairs,
  },
  ioredis: {
    title: 'ioredis, pipelines of 100',
    unit: 'command',
    ratios: ['callsPerSecond', 'callersUs'],
    find: redisPairs(1),
  },
  'ioredis-4': {
    title: 'four clients of ioredis',
    unit: 'command',
    ratios: ['callsPerSecond', 'callersUs'],
    find: redisPairs(4),
  },
  rpc: {
    title: 'callers and server of calls',
    unit: 'call',
    ratios: ['callsPerSecond', 'serverUs', 'callersUs'],
    find: (load, leftOut) =>
      findPairs(rpcContests.pairs, { ...load, connections: 4, size: 1024 }, leftOut),
  },
}
