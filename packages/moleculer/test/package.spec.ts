import { createRequire } from 'node:module'

import * as module from '@nodepoll/moleculer'
import test from 'ava'

test('both module formats give these values, and the same ones', (t) => {
  const required = createRequire(import.meta.url)('@nodepoll/moleculer') as typeof module
  t.is(required.NodepollTransporter, module.NodepollTransporter)
  t.deepEqual(Object.keys(required).toSorted(), Object.keys(module).toSorted())
  t.deepEqual(Object.keys(module).toSorted(), ['NodepollTransporter', 'TransporterError'])
})
