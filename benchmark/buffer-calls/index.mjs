// All calls that are measured, in the order of the table.
import { framing } from './framing.mjs'
import { reading } from './reading.mjs'
import { writing } from './writing.mjs'

export const calls = [...reading, ...writing, ...framing]
