/** What tasks use of resources: what gives them what they require, and tells a worker that it has that. */
import { ParleyError } from '../errors.ts'
import type { TaskCapacity } from '../resource/planner/demands.ts'
import type { HeldClaim } from './worker/claimed-work.ts'

export interface TaskResources {
  /** Of whoever coordinates. */
  readonly capacity: TaskCapacity
  /** At a worker. @throws STA001 where it is not told of it in time */
  claim(allocation: string, options: { readonly signal: AbortSignal }): Promise<HeldClaim>
}

/** @param resources undefined: there are none @throws STA001 */
export const claimOf =
  (resources: TaskResources | undefined): TaskResources['claim'] =>
  async (allocation, options) => {
    if (resources !== undefined) return resources.claim(allocation, options)
    throw new ParleyError('STA001', `this node gives no resources, and not ${allocation}`, {
      hint: 'another worker gets the task',
    })
  }
