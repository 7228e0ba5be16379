/**
 * What holds of coalitions at every index of the journal, by rules of its own: states follow on each other, who leads is a member,
 * an active one had enough members that agreed, and what is dissolved stays as it is. State: all versions that were seen.
 */
import {
  COALITION_PREFIX,
  type CoalitionRecord,
  coalitionUsageKey,
  peersOf,
  readCoalition,
} from '../../../protocols/coordination/coalition/coalition-record.ts'
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'

const MOST_MEMBERS = 64
/** Milliseconds that one that is dissolved is kept, at the least. */
const KEPT_MS = 60_000

type Problem = string | undefined
interface Usage {
  readonly coalitions: number
  readonly bytes: number
}

const FOLLOWS: Readonly<Record<CoalitionRecord['state'], readonly CoalitionRecord['state'][]>> = {
  forming: ['forming', 'active', 'dissolved'],
  active: ['active', 'dissolved'],
  dissolved: [],
}

/** What never changes of it. */
const termsOf = ({ goal, owner, minMembers, ttlMs, until, madeAt, proposed, size }: CoalitionRecord): string =>
  JSON.stringify([goal, owner, minMembers, ttlMs, until, madeAt, proposed, size])

const wrongRecord = (record: CoalitionRecord): Problem => {
  const { members, leader, proposed, state, until, madeAt, ttlMs } = record
  const peers = peersOf(record)
  if (members.length > MOST_MEMBERS) return `it has ${members.length} members`
  if (JSON.stringify(proposed.members.filter((peer) => peers.includes(peer))) !== JSON.stringify(peers))
    return 'its members are not of its proposal, or in another order'
  if (members.length > 0 && !peers.includes(leader)) return `its leader ${leader} is no member`
  if (members.length === 0 && state !== 'dissolved') return `it is ${state}, and has no members`
  if (state === 'active' && members.some(({ accepted }) => !accepted)) return 'a member of it has not agreed'
  return until === madeAt + ttlMs ? undefined : 'it ends at another time than it was proposed for'
}

const wrongBeginning = ({ state, members, proposed, leader }: CoalitionRecord): Problem => {
  if (state !== 'forming') return `it began as ${state}`
  if (members.some(({ accepted }) => accepted)) return 'a member had agreed before it was proposed'
  return leader === proposed.leader ? undefined : 'another one leads than was proposed'
}

/** @param isNext whether nothing was decided between the two */
const wrongChange = (before: CoalitionRecord, record: CoalitionRecord, isNext: boolean): Problem => {
  if (!FOLLOWS[before.state].includes(record.state)) return `it was ${before.state}, and is ${record.state}`
  if (record.fence.index <= before.fence.index) return 'it changed, and its fence did not'
  if (termsOf(before) !== termsOf(record)) return 'its terms changed'
  const agreed = new Map(before.members.map(({ peer, accepted }) => [peer, accepted]))
  for (const { peer, accepted } of record.members) {
    if (!agreed.has(peer)) return `${peer} was no member any more, and is one again`
    if (agreed.get(peer) === true && !accepted) return `${peer} had agreed, and has not`
  }
  const isFormed = before.state === 'forming' && record.state === 'active'
  return isFormed && isNext && record.members.length < record.minMembers
    ? `it is active with ${record.members.length} members, and needs ${record.minMembers}`
    : undefined
}

export class CoalitionObserver {
  readonly counts = { proposed: 0, formed: 0, unformed: 0, dissolved: 0, expired: 0, led: 0, shrunk: 0, resumed: 0 }
  /** Of each, by the index of the decision that it is as of. */
  readonly #versions = new Map<string, Map<number, CoalitionRecord>>()
  readonly #newest = new Map<string, CoalitionRecord>()
  readonly #watched = new WeakSet<JournalMachine>()
  readonly #hasAgreed: (id: string, peer: string) => boolean
  readonly #now: () => number
  #version = 0

  /**
   * @param hasAgreed whether the program of this peer did, as the world saw it
   * @param now milliseconds since 1970
   */
  constructor(hasAgreed: (id: string, peer: string) => boolean, now: () => number) {
    this.#hasAgreed = hasAgreed
    this.#now = now
  }

  /** From now on each of its steps is looked at. */
  watch(machine: JournalMachine, tell: (problem: string) => void): void {
    if (this.#watched.has(machine)) return
    this.#watched.add(machine)
    const look = (isNext: boolean): void => {
      if (machine.version() <= this.#version) return
      this.#version = machine.version()
      const problem = this.#look(machine, isNext)
      if (problem !== undefined) tell(`at ${this.#version}: ${problem}`)
    }
    // It may have applied more than any that was watched before.
    look(false)
    machine.onApplied(() => look(true))
  }

  /** As of that decision; undefined where it was not seen. */
  versionAt(id: string, index: number): CoalitionRecord | undefined {
    return this.#versions.get(id)?.get(index)
  }

  versions(id: string): CoalitionRecord[] {
    return [...(this.#versions.get(id)?.values() ?? [])]
  }

  newest(): ReadonlyMap<string, CoalitionRecord> {
    return this.#newest
  }

  #look(machine: JournalMachine, isNext: boolean): Problem {
    const now = new Map<string, CoalitionRecord>()
    for (const { key, value } of machine.records.all()) {
      const record = key.startsWith(COALITION_PREFIX) ? readCoalition(value) : undefined
      if (record !== undefined) now.set(key.slice(COALITION_PREFIX.length), record)
    }
    for (const [id, record] of now) {
      const problem = this.#take(id, record, isNext)
      if (problem !== undefined) return `${id}: ${problem}`
    }
    for (const [id, record] of this.#newest) {
      const isKept = now.has(id) || (record.state === 'dissolved' && this.#now() >= record.changedAt + KEPT_MS)
      if (!isKept) return `${id} is ${record.state}, and is gone`
      if (!now.has(id)) this.#newest.delete(id)
    }
    return this.#wrongUsage(machine, now)
  }

  #take(id: string, record: CoalitionRecord, isNext: boolean): Problem {
    const before = this.#newest.get(id)
    if (before === record || before?.fence.index === record.fence.index) return undefined
    this.#newest.set(id, record)
    const versions = this.#versions.get(id) ?? new Map<number, CoalitionRecord>()
    this.#versions.set(id, versions.set(record.fence.index, record))
    this.#count(before, record)
    const liar = record.members.find(({ peer, accepted }) => accepted && !this.#hasAgreed(id, peer))
    if (liar !== undefined) return `${liar.peer} never agreed to it`
    if (before === undefined) return wrongRecord(record) ?? (isNext ? wrongBeginning(record) : undefined)
    return wrongRecord(record) ?? wrongChange(before, record, isNext)
  }

  /** What owners answer for is what there is. */
  #wrongUsage(machine: JournalMachine, now: ReadonlyMap<string, CoalitionRecord>): Problem {
    const sums = new Map<string, Usage>([['all', { coalitions: 0, bytes: 0 }]])
    for (const { owner, size } of now.values())
      for (const whose of [owner, 'all']) {
        const { coalitions, bytes } = sums.get(whose) ?? { coalitions: 0, bytes: 0 }
        sums.set(whose, { coalitions: coalitions + 1, bytes: bytes + size })
      }
    for (const [whose, { coalitions, bytes }] of sums) {
      const kept = machine.records.get(coalitionUsageKey(whose))?.value as unknown as Usage | undefined
      if ((kept?.coalitions ?? 0) !== coalitions || (kept?.bytes ?? 0) !== bytes)
        return `${whose} has ${coalitions} of ${bytes} bytes, and answers for ${JSON.stringify(kept)}`
    }
    return undefined
  }

  #count(before: CoalitionRecord | undefined, record: CoalitionRecord): void {
    const { counts } = this
    if (before === undefined) {
      counts.proposed += 1
      return
    }
    if (before.fence.term !== record.fence.term) counts.resumed += 1
    if (record.state === 'dissolved') {
      counts.dissolved += 1
      if (before.state === 'forming') counts.unformed += 1
      if (record.reason === 'its time is over') counts.expired += 1
    } else if (before.state === 'forming' && record.state === 'active') counts.formed += 1
    else if (before.state === 'active') {
      if (before.leader !== record.leader) counts.led += 1
      if (before.members.length !== record.members.length) counts.shrunk += 1
    }
  }
}
