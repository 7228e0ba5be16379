/** A digest of all tasks at a version, by which a reader finds whether it has what the journal has (seed 001). Keeps no state. */
import { toString as encodeText } from 'uint8arrays/to-string'
import type { CoordinatorFeature } from '../../coordinator/api.ts'
import { notLeading } from '../../journal/feed/record-feeds.ts'
import type { Port } from '../../port.ts'
import { taskProtocol } from '../contract.ts'
import type { TaskWaitOptions } from './task-api.ts'

const DIGEST_MS = 10_000

export interface TasksDigest {
  /** Index of the decision that it is of. */
  readonly version: number
  /** SHA-256 of `id version` of each task that has a record, sorted by id, in lines; hex digits. */
  readonly digest: string
  readonly tasks: number
}

const ENCODER = new TextEncoder()

export const tasksDigest = (
  { hash }: Pick<Port, 'hash'>,
  {
    version,
    tasks,
  }: { readonly version: number; readonly tasks: Iterable<{ readonly id: string; readonly version: number }> },
): TasksDigest => {
  const lines = [...tasks].map(({ id, version: of }) => `${id} ${of}\n`).sort()
  const digest = hash(ENCODER.encode(lines.join('')))
  return {
    version,
    digest: encodeText(digest, 'base16'),
    tasks: lines.length,
  }
}

/** As who coordinates has it. @throws as a call does */
export const askDigest = async (
  { port, coordinator }: { readonly port: Pick<Port, 'to'>; readonly coordinator: Pick<CoordinatorFeature, 'status'> },
  { signal, timeoutMs = DIGEST_MS }: TaskWaitOptions = {},
): Promise<TasksDigest> => {
  const { leader, meshId } = coordinator.status()
  if (leader === undefined || meshId === undefined) throw notLeading()
  return port.to(leader, taskProtocol).digest({ meshId }, { timeoutMs, ...(signal !== undefined && { signal }) })
}
