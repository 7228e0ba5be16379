/** What the control socket has a node do with the journal. */
import type * as z from 'zod'
import type { Json } from '../../../protocols/journal/state/command-kind.ts'
import type { Mesh } from '../../api.ts'
import type * as schemas from '../journal-schemas.ts'

type JournalMesh = Pick<Mesh, 'journal'>

export const getRecord = async (
  { journal }: JournalMesh,
  { key, timeoutMs }: z.output<typeof schemas.JournalGetSchema>,
): Promise<z.input<typeof schemas.JournalFoundSchema>> => {
  const record = await journal.get(key, { timeoutMs })
  return record === undefined ? {} : { record }
}

export const listRecords = (
  { journal }: JournalMesh,
  { prefix, timeoutMs }: z.output<typeof schemas.JournalListSchema>,
): Promise<z.input<typeof schemas.JournalListedSchema>> => journal.list(prefix, { timeoutMs })

export const putRecord = async (
  { journal }: JournalMesh,
  { key, value, ifVersion, timeoutMs }: z.output<typeof schemas.JournalPutSchema>,
): Promise<z.input<typeof schemas.JournalWrittenSchema>> => {
  // It was JSON on its way here.
  const { version } = await journal.put(key, value as Json, {
    timeoutMs,
    ...(ifVersion !== undefined && { ifVersion }),
  })
  return { version }
}

export const deleteRecord = async (
  { journal }: JournalMesh,
  { key, ifVersion, timeoutMs }: z.output<typeof schemas.JournalDeleteSchema>,
): Promise<z.input<typeof schemas.JournalWrittenSchema>> => {
  const { version, result } = await journal.delete(key, { timeoutMs, ...(ifVersion !== undefined && { ifVersion }) })
  return { version, existed: result.existed }
}

/** What there is, then each change, until the reader leaves. */
export async function* watchRecords(
  { journal }: JournalMesh,
  { prefix, from }: z.output<typeof schemas.JournalWatchSchema>,
  signal: AbortSignal,
): AsyncGenerator<schemas.JournalLine, void, undefined> {
  for await (const change of journal.watch({ prefix, signal, ...(from !== undefined && { from }) })) {
    if (change.type === 'records') {
      yield { type: 'records', version: change.version, records: [...change.records] }
      continue
    }
    const { version, key, at, value } = change
    yield { type: 'change', version, key, at, isDeleted: value === undefined, value: value ?? null }
  }
}
