/** An allocation as a program asks for it, checked and completed. Pure, but for a new id. */
import * as z from 'zod'
import { checkedInput } from '../../checked-input.ts'
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { AllocateOptions } from '../api.ts'
import { AllocationId, type Ask, AskSchema, MAX_WAIT_MS, newAllocationId } from '../resource-record.ts'
import { isNone, NONE, plus } from '../units.ts'

const KEYS = keysOf<AllocateOptions>({
  ...{ id: true, task: true, units: true, count: true, parts: true, spread: true, priority: true },
  ...{ preemptible: true, preempts: true, signal: true, timeoutMs: true },
})
const ALLOCATE_MS = 30_000

const PROBLEM = 'resources cannot be asked for so'
const refused = (path: string, message: string): ParleyError =>
  new ParleyError('MSG001', `${PROBLEM}: ${path}: ${message}`, {
    hint: 'change or leave out the fields that are named',
    details: { issues: [{ path, message }] },
  })

const partsOf = ({ units, count = 1, parts }: AllocateOptions): Ask['parts'] => {
  if ((units === undefined) === (parts === undefined)) throw refused('units', 'name `units`, or `parts`, and not both')
  if (parts !== undefined) return [...parts]
  // How many there may be is checked with them.
  const most = Number.isSafeInteger(count) && count > 0 && count < 1_000 ? count : 0
  return Array.from({ length: most }, () => ({ units: { ...units } }))
}

export interface WantedAllocation {
  readonly id: string
  readonly ask: Ask
  /** Milliseconds. */
  readonly timeoutMs: number
}

/** @throws MSG001 */
export const wantedAllocation = ({ random }: Pick<Port, 'random'>, given: AllocateOptions): WantedAllocation => {
  checkKeys(given, KEYS, 'an allocation')
  const { id, task, spread, priority = 'normal', preemptible, preempts, timeoutMs = ALLOCATE_MS } = given
  if (id !== undefined) checkedInput(z.object({ id: AllocationId }), { id }, PROBLEM)
  if (!(timeoutMs >= 0 && timeoutMs <= MAX_WAIT_MS)) throw refused('timeoutMs', `use 0 to ${MAX_WAIT_MS}`)
  if (!PRIORITIES.includes(priority)) throw refused('priority', `use one of ${PRIORITIES.join(', ')}`)
  const asked = {
    ...(task !== undefined && { task }),
    ...{ priority: PRIORITIES.indexOf(priority), parts: partsOf(given), waitMs: Math.ceil(timeoutMs) },
    ...(spread === true && { spread }),
    ...(preemptible === true && { preemptible }),
    ...(preempts === true && { preempts }),
  }
  const ask = checkedInput(AskSchema, asked, PROBLEM)
  if (ask.parts.some(({ units }) => isNone(units))) throw refused('parts', 'each part is of something')
  // The same ask again is the same, in whichever order its units are named.
  const parts = ask.parts.map((part) => ({ ...part, units: plus(NONE, part.units) }))
  return { id: id ?? newAllocationId({ random }), ask: { ...ask, parts }, timeoutMs }
}

export const notDecided = (id: string): ParleyError =>
  new ParleyError('COM001', `nothing was decided about the allocation ${id} in time`, {
    hint: 'is there a node with a data directory that coordinates?',
    details: { reason: 'no-leader' },
  })
