/** Snapshots of a state machine in memory, each on top of the one before. */
import type { StateMachine } from '../../protocols/consensus/group/group-api.ts'
import type { SavedRows, StateChange, StateRow } from '../../protocols/consensus/group/group-storage.ts'

/** Of a journal: the entry that it says it is of. */
const indexOf = (rows: ReadonlyMap<string, Uint8Array>): number => {
  try {
    return Number(JSON.parse(new TextDecoder().decode(rows.get('a'))).version)
  } catch {
    return 0
  }
}

export const savedRows = (rows: ReadonlyMap<string, Uint8Array>): SavedRows => ({
  meta: { index: indexOf(rows), term: 0, configuration: { voters: [], learners: [] } },
  get: async (key) => rows.get(key),
  async *rows(prefix, after = ''): AsyncGenerator<StateRow> {
    for (const key of [...rows.keys()].sort()) {
      const value = rows.get(key)
      if (value !== undefined && key.startsWith(prefix) && key > after) yield { key, value }
    }
  },
  release: () => {},
})

type Changes = Iterable<StateChange> | AsyncIterable<StateChange>

/** These rows on top of others. */
export const withChanges = async (
  changes: Changes,
  on: ReadonlyMap<string, Uint8Array> = new Map(),
): Promise<Map<string, Uint8Array>> => {
  const rows = new Map(on)
  for await (const { key, value } of changes) {
    if (value === undefined) rows.delete(key)
    else rows.set(key, typeof value === 'string' ? new TextEncoder().encode(value) : value)
  }
  return rows
}

/** A snapshot of a machine that has had none, or one with these rows. */
export const snapshotOf = async (
  machine: Pick<StateMachine, 'changes'>,
  on?: ReadonlyMap<string, Uint8Array>,
): Promise<Map<string, Uint8Array>> => {
  const changes = machine.changes()
  const rows = await withChanges(changes.rows, on)
  changes.settle(savedRows(rows))
  return rows
}

/** As members send it to one another. */
export const chunksOf = async (
  machine: Pick<StateMachine, 'encode'>,
  rows: ReadonlyMap<string, Uint8Array>,
): Promise<Uint8Array[]> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of machine.encode(savedRows(rows))) chunks.push(chunk)
  return chunks
}

export const streamOf = async function* <T>(all: Iterable<T>): AsyncGenerator<T> {
  yield* all
}
