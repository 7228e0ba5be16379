/**
 * What is done to a task from outside: as a program says it, as it travels, and as it is decided. Who submitted a task decides
 * it by itself; anybody else asks the coordinator, which lets holders of `coordinate`. Keeps no state.
 */
import type * as z from 'zod'
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import { isParleyError, ParleyError } from '../../errors.ts'
import { notLeading } from '../../journal/feed/record-feeds.ts'
import type { Port } from '../../port.ts'
import { type ControlSchema, taskProtocol } from '../contract.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import type { TaskStatus } from '../task-status.ts'
import type { TaskBatcher } from './task-decisions.ts'
import type { Control } from './task-handle.ts'

type ControlRequest = Omit<z.output<typeof ControlSchema>, 'meshId'> & { readonly meshId?: string }

interface ForSomebody {
  readonly epoch: number
  /** Peer id. */
  readonly asker: string
}

/** @param by of the coordinator that does it for somebody */
const controlChange = (id: string, control: Control, by?: ForSomebody): TaskChange => {
  if (control.action === 'signal') return { do: 'signal', id, name: control.name, value: control.value, ...by }
  if (control.action === 'resume') {
    const { checkpoint } = control
    return { do: 'resume', id, ...(checkpoint !== undefined && { checkpoint }), ...by }
  }
  return { do: control.action, id, ...(control.reason !== undefined && { reason: control.reason }), ...by }
}

/** @throws MSG001 for a signal without a name */
const controlOf = ({ action, reason, checkpoint, name, value = null }: Omit<ControlRequest, 'id'>): Control => {
  if (action === 'resume') return { action, ...(checkpoint !== undefined && { checkpoint }) }
  if (action !== 'signal') return { action, ...(reason !== undefined && { reason }) }
  if (name === undefined)
    throw new ParleyError('MSG001', 'a signal has a name', { hint: 'say what the task waits for' })
  return { action, name, value }
}

export interface ControlsDeps {
  readonly port: Pick<Port, 'to'>
  readonly coordinator: Pick<CoordinatorFeature, 'status'>
  readonly batcher: Pick<TaskBatcher, 'decide'>
}

export class TaskControls {
  readonly #deps: ControlsDeps

  constructor(deps: ControlsDeps) {
    this.#deps = deps
  }

  /** @throws SEC002, STA001, STA003 */
  async control(id: string, control: Control): Promise<TaskStatus> {
    try {
      return await this.#decide(controlChange(id, control))
    } catch (error) {
      if (!isParleyError(error, 'SEC002')) throw error
      return this.#askCoordinator(id, control, error)
    }
  }

  /** For somebody whose capability was checked. @throws STA003 where this node does not coordinate */
  asCoordinator({ id, ...asked }: ControlRequest, asker: string): Promise<TaskStatus> {
    const { epoch, acting } = this.#deps.coordinator.status()
    if (!acting) throw notLeading()
    return this.#decide(controlChange(id, controlOf(asked), { epoch, asker }))
  }

  async #decide(change: TaskChange): Promise<TaskStatus> {
    const { result } = await this.#deps.batcher.decide(change)
    return (result as unknown as { status: TaskStatus }).status
  }

  async #askCoordinator(id: string, control: Control, refused: ParleyError): Promise<TaskStatus> {
    const { leader, meshId } = this.#deps.coordinator.status()
    if (leader === undefined || meshId === undefined) throw refused
    const { status } = await this.#deps.port.to(leader, taskProtocol).control({ meshId, id, ...control })
    return status
  }
}
