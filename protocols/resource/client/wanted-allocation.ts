/** An allocation as a program asks for it, checked and completed. Pure. */
import type * as z from 'zod'
import { ParleyError } from '../../errors.ts'
import { checkKeys, keysOf } from '../../unknown-keys.ts'
import { PRIORITIES } from '../../wire/envelope.ts'
import type { AllocateOptions } from '../api.ts'
import { AllocationId, type Ask, AskSchema } from '../resource-record.ts'

const KEYS = keysOf<AllocateOptions>({
  ...{ id: true, task: true, units: true, count: true, parts: true, spread: true, priority: true },
  ...{ preemptible: true, preempts: true, signal: true, timeoutMs: true },
})
const MAX_WAIT_MS = 86_400_000
export const ALLOCATE_MS = 30_000

const refused = (issues: readonly { readonly path: string; readonly message: string }[]): ParleyError =>
  new ParleyError(
    'MSG001',
    `resources cannot be asked for so: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    { hint: 'change or leave out the fields that are named', details: { issues } },
  )

const issuesOf = (error: z.ZodError): { path: string; message: string }[] =>
  error.issues.slice(0, 16).map(({ path, message }) => ({ path: path.join('.'), message }))

const partsOf = ({ units, count = 1, parts }: AllocateOptions): Ask['parts'] => {
  if ((units === undefined) === (parts === undefined))
    throw refused([{ path: 'units', message: 'name `units`, or `parts`, and not both' }])
  if (parts !== undefined) return [...parts]
  // How many there may be is checked with them.
  const most = Number.isSafeInteger(count) && count > 0 && count < 1_000 ? count : 0
  return Array.from({ length: most }, () => ({ units: { ...units } }))
}

/** @param nowMs since 1970 @throws MSG001 */
export const wantedAllocation = (given: AllocateOptions, nowMs: number): Ask => {
  checkKeys(given, KEYS, 'an allocation')
  const { id, task, spread, priority = 'normal', preemptible, preempts, timeoutMs = ALLOCATE_MS } = given
  if (id !== undefined) {
    const { error } = AllocationId.safeParse(id)
    if (error !== undefined) throw refused([{ path: 'id', message: error.issues[0]?.message ?? 'use another one' }])
  }
  if (!(timeoutMs >= 0 && timeoutMs <= MAX_WAIT_MS))
    throw refused([{ path: 'timeoutMs', message: `use 0 to ${MAX_WAIT_MS}` }])
  const ask = AskSchema.safeParse({
    ...(task !== undefined && { task }),
    ...{ priority: PRIORITIES.indexOf(priority), parts: partsOf(given), waitUntil: nowMs + timeoutMs },
    ...(spread === true && { spread }),
    ...(preemptible === true && { preemptible }),
    ...(preempts === true && { preempts }),
  })
  if (!ask.success) throw refused(issuesOf(ask.error))
  if (ask.data.parts.some(({ units }) => Object.values(units).every((amount) => amount === 0)))
    throw refused([{ path: 'parts', message: 'each part is of something' }])
  return ask.data
}
