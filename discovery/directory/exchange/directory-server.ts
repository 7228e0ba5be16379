/**
 * What this node's directory answers others: a comparison of digests, and records that they push.
 *
 * State: none. A comparison by sums costs a few bytes as long as both directories hold the same.
 */
import { equals } from 'uint8arrays/equals'
import type { Port } from '../../../protocols/port.ts'
import { directoryProtocol, EMPTY_BYTES, inBatches, MAX_DIGEST } from '../protocol.ts'
import type { Change } from '../tables/agent-change.ts'
import type { AgedRecord } from '../tables/digest.ts'
import type { DirectoryState } from '../tables/directory-state.ts'
import type { DigestCodec } from './digest-codec.ts'
import type { RecordSource } from './record-intake.ts'

export interface DirectoryServerDeps {
  readonly port: Pick<Port, 'clock' | 'serve'>
  readonly state: DirectoryState
  readonly packed: DigestCodec
  /** Of the tables as they are. */
  readonly sum: () => Uint8Array
  readonly expire: () => void
  readonly emit: (changes: readonly Change[]) => void
  readonly receiveAll: (items: readonly AgedRecord[], via: RecordSource, from: string) => Promise<number>
}

export const serveDirectory = ({ port, state, packed, sum, expire, emit, receiveAll }: DirectoryServerDeps) => {
  const nowMs = () => port.clock.monotonic()
  const read = (bytes: Uint8Array) => packed.unpack(bytes, MAX_DIGEST)
  return port.serve(directoryProtocol, {
    sync: (asked, { peer }) => {
      expire()
      const theirs = { digest: read(asked.digest), ended: read(asked.ended), room: asked.room, from: peer }
      for (const doubts of [theirs.ended, read(asked.doubts)]) emit(state.doubt(doubts, nowMs()))
      if (asked.sum !== undefined) {
        const differs = !equals(asked.sum, sum())
        const fresher = packed.packAges(state.fresher(theirs.digest, nowMs()))
        return { records: [], wants: EMPTY_BYTES, fresher, differs, more: false }
      }
      const { records, wants, fresher, changes } = state.compare(theirs, nowMs())
      emit(changes)
      const [batch = [], ...rest] = inBatches(records)
      return {
        records: batch,
        wants: packed.packPeers(wants),
        fresher: packed.packAges(fresher),
        differs: false,
        more: rest.length > 0,
      }
    },
    push: async ({ records }, { peer }) => {
      await receiveAll(records, 'push', peer)
    },
  })
}
