import { createRequire } from 'node:module'

import * as module from '@nodepoll/nestjs'
import test from 'ava'

test('both module formats give these values, and the same ones', (t) => {
  const required = createRequire(import.meta.url)('@nodepoll/nestjs') as typeof module
  t.is(required.NodepollServer, module.NodepollServer)
  t.deepEqual(Object.keys(required).toSorted(), Object.keys(module).toSorted())
  t.deepEqual(Object.keys(module).toSorted(), [
    'NODEPOLL_TRANSPORT',
    'NodepollClient',
    'NodepollContext',
    'NodepollServer',
    'TransportError',
  ])
})
