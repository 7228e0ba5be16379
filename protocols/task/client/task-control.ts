/** What is done to a task from outside, as a program says it, as it travels, and as it is decided. Pure. */
import type * as z from 'zod'
import { ParleyError } from '../../errors.ts'
import type { ControlSchema } from '../contract.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import type { Control } from './task-handle.ts'

export type ControlRequest = Omit<z.output<typeof ControlSchema>, 'meshId'> & { readonly meshId?: string }

/** @param epoch of the coordinator that does it for somebody */
export const controlChange = (id: string, control: Control, epoch: number | undefined): TaskChange => {
  const by = epoch === undefined ? {} : { epoch }
  if (control.action === 'signal') return { do: 'signal', id, name: control.name, value: control.value, ...by }
  if (control.action === 'resume') {
    const { checkpoint } = control
    return { do: 'resume', id, ...(checkpoint !== undefined && { checkpoint }), ...by }
  }
  return { do: control.action, id, ...(control.reason !== undefined && { reason: control.reason }), ...by }
}

/** @throws MSG001 for a signal without a name */
export const controlOf = ({ action, reason, checkpoint, name, value = null }: Omit<ControlRequest, 'id'>): Control => {
  if (action === 'resume') return { action, ...(checkpoint !== undefined && { checkpoint }) }
  if (action !== 'signal') return { action, ...(reason !== undefined && { reason }) }
  if (name === undefined)
    throw new ParleyError('MSG001', 'a signal has a name', { hint: 'say what the task waits for' })
  return { action, name, value }
}
