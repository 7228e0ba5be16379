/** A digest of all tasks at a version, by which a reader finds whether it has what the journal has (seed 001). Pure. */
import { toString as encodeText } from 'uint8arrays/to-string'
import type { Port } from '../../port.ts'

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
