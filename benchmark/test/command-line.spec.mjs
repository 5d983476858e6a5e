import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import test from 'ava'

const bench = fileURLToPath(new URL('../bench.mjs', import.meta.url))

const run = (...args) => spawnSync(process.execPath, [bench, ...args], { encoding: 'utf8' })

test('the help names all options and scenarios', (t) => {
  const { stdout, status } = run('--help')
  t.is(status, 0)
  for (const name of ['quick', 'scenario', 'load', 'rival', 'rounds', 'json', 'html', 'from']) {
    t.regex(stdout, new RegExp(`^  --${name}\\b`, 'm'))
  }
  t.regex(stdout, /Scenarios: long, idle, mux, stream, short, memory, delay\./)
})

test('a wrong option ends with one line that says what is right', (t) => {
  for (const [args, message] of [
    [['--rival', 'libuv'], /--rival: 'libuv' is none of node:net, node:net-onread, bun/],
    [['--scenario', 'tall'], /--scenario: 'tall' is none of long, idle/],
    [['--load', '1x1'], /--load: '1x1' is not a load/],
    [['--rounds', '0'], /--rounds: expected a whole number from 1/],
    [['--pin', 'all'], /--pin: expected auto, none or/],
    [['--slow'], /Unknown option '--slow'/],
  ]) {
    const { stderr, status } = run(...args)
    t.is(status, 2, args.join(' '))
    t.regex(stderr, message)
    t.is(stderr.trim().split('\n').length, 1)
  }
})
