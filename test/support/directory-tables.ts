/** Directory tables without a network, and the records to put into them. Signatures are not looked at here. */

import { type AgentRecord, encodeRecord, type SignedRecord } from '../../discovery/directory/record/agent-record.ts'
import type { Change } from '../../discovery/directory/tables/agent-change.ts'
import type { Digest } from '../../discovery/directory/tables/digest.ts'
import { DirectoryState } from '../../discovery/directory/tables/directory-state.ts'

export const TTL_MS = 30_000
const limits = { maxAgents: 100, maxEnded: 100 }

export const recordOf = (peerId: string, version: number, fields: Partial<AgentRecord> = {}): AgentRecord => ({
  peerId,
  name: `${peerId}-name`,
  mesh: 'test',
  incarnation: 1,
  version,
  protocols: [],
  labels: {},
  addresses: [],
  ttlMs: TTL_MS,
  ...fields,
})
export const sign = (record: AgentRecord): SignedRecord => ({
  bytes: encodeRecord(record),
  signature: Uint8Array.of(1),
})
export const give = (state: DirectoryState, record: AgentRecord, nowMs = 0, ageMs = 0) =>
  state.apply(record, sign(record), ageMs, nowMs)
export const start = (self = 'me', own = limits): DirectoryState => {
  const state = new DirectoryState(self, own)
  state.setOwn(recordOf(self, 1), sign(recordOf(self, 1)))
  return state
}
export const others = (state: DirectoryState): string[] =>
  state
    .view()
    .filter(({ self }) => !self)
    .map(({ peer }) => peer)
export const kinds = (changes: readonly Change[]): string[] =>
  changes.map((change) => (change.type === 'left' ? `left ${change.reason}` : change.type))
/** What `of` would send to `to`, taken in by `to`. */
export const pull = (to: DirectoryState, of: DirectoryState, nowMs: number): number => {
  const asked = { digest: to.digest(nowMs), ended: to.endedDigest(nowMs), room: to.room() }
  const { records, fresher } = of.compare(asked, nowMs)
  for (const [peer, ageMs] of fresher) to.hear(peer, ageMs, nowMs)
  for (const item of records) {
    const record: AgentRecord = JSON.parse(new TextDecoder().decode(item.bytes))
    to.apply(record, item, item.ageMs, nowMs)
  }
  return records.length
}

export type Entry = [peer: string, incarnation: number, version: number, ageMs: number]
export const entriesOf = (digest: Digest): Entry[] => {
  const entries: Entry[] = []
  digest((...entry) => entries.push(entry))
  return entries
}
export const digestOf =
  (entries: readonly Entry[]): Digest =>
  (visit) => {
    for (const entry of entries) visit(...entry)
  }
