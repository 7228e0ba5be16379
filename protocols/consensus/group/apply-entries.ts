/** Entries that are decided, applied in parts, so that whatever else this node does has its turn meanwhile. Keeps no state. */
import { delay } from '../../async.ts'
import type { Port } from '../../port.ts'
import type { Entry } from '../raft/raft-messages.ts'
import type { RaftGroupDeps } from './group-api.ts'

/** Bytes of entries that are applied at once. */
const PART_BYTES = 16_384
/** Milliseconds after which others have their turn. */
const TURN_MS = 10

/** Entries one after the other, each part below PART_BYTES or one entry. */
const partsOf = function* (entries: readonly Entry[]): Generator<readonly Entry[]> {
  for (let begin = 0, end = 0; begin < entries.length; begin = end) {
    for (let bytes = 0; end < entries.length; end += 1) {
      bytes += entries[end]?.data.length ?? 0
      if (end > begin && bytes > PART_BYTES) break
    }
    yield entries.slice(begin, end)
  }
}

/** @param apply applies one of them, at once */
export const applyEntries = async (
  { machine, port: { clock, timers } }: Pick<RaftGroupDeps, 'machine'> & { port: Pick<Port, 'clock' | 'timers'> },
  entries: readonly Entry[],
  apply: (entry: Entry) => void,
): Promise<void> => {
  let turnAt = clock.monotonic()
  for (const part of partsOf(entries)) {
    // What one part needs is read after the last one was applied: a snapshot may have been begun meanwhile.
    const reading = machine.prepare?.(part)
    if (reading !== undefined) await reading
    for (const entry of part) apply(entry)
    if (clock.monotonic() - turnAt < TURN_MS) continue
    // Also after the last one: more may be decided already.
    await delay(timers, 0)
    turnAt = clock.monotonic()
  }
}
