import { createRequire } from 'node:module'

import type * as binding from './binding.cjs'

/** The native half. This folder is the only place that knows it. */
export const native = createRequire(import.meta.url)('./binding.cjs') as typeof binding
