/** What each step of a start builds on. Types alone. */
import type { Quota } from '../../protocols/limits/quota.ts'
import type { Network } from '../network/network.ts'
import type { Startup } from './startup.ts'

export interface NodeCore {
  readonly startup: Startup
  readonly network: Network
  /** Bytes that features keep on disk. */
  readonly quota: Quota
  /** What a start that fails has to end, last one first. */
  readonly undo: (() => Promise<void>)[]
}
