// What tests of nodepoll itself wait with.
export { type Deferred, deferred, eventually, within } from '../../__test__/helpers/deadline.ts'
