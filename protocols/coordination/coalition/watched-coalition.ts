/**
 * One coalition as the coordinator watches it: whom it has directed as of which decision, what they said, and what that wants
 * decided. Pure. State: the newest record, and what each member was told in this epoch.
 */
import type { CoalitionChange } from '../journal/coalition-changes.ts'
import type { Coalition } from '../messages.ts'
import { type CoalitionRecord, MAX_TTL_MS, peersOf } from './coalition-record.ts'

/** Milliseconds until a member that did not answer is directed again. */
const AGAIN_MS = 5_000
/** For so long after it was dissolved its members are told. Milliseconds. */
const TELL_MS = 60_000
/** Later those who may not know are told so often, until they answer or come back once more. */
const MOST_LATE = 5

/** What became of a directive. */
export type Reached = 'accepted' | 'refused' | 'absent'
interface Contact {
  /** Index of the decision that was told. */
  readonly asOf: number
  readonly reached: Reached | 'sending'
  /** When it was answered. */
  readonly at: number
}

/** Whom to direct, and to what. */
export interface Told {
  readonly peer: string
  readonly coalition: Coalition
}

export class WatchedCoalition {
  readonly id: string
  #record: CoalitionRecord
  readonly #contacts = new Map<string, Contact>()
  /** Who was proposed and is no member, since which decision: it was left out, or left. */
  readonly #out: Map<string, number>
  /** Who may not know that it is over, and how often it was told in vain. */
  readonly #back: Map<string, number>

  constructor(id: string, record: CoalitionRecord) {
    this.id = id
    this.#record = record
    const members = new Set(peersOf(record))
    const out = record.proposed.members.filter((peer) => !members.has(peer))
    this.#out = new Map(out.map((peer) => [peer, record.fence.index]))
    // It was dissolved before this epoch: who came back meanwhile was told by nobody, maybe.
    const isOver = record.state === 'dissolved'
    this.#back = new Map(isOver ? record.proposed.members.map((peer) => [peer, 0]) : [])
  }

  get record(): CoalitionRecord {
    return this.#record
  }

  set(record: CoalitionRecord): void {
    const members = new Set(peersOf(record))
    for (const peer of peersOf(this.#record)) if (!members.has(peer)) this.#out.set(peer, record.fence.index)
    this.#record = record
  }

  /** It is a member, or was to be one. */
  concerns(peer: string): boolean {
    const { members, proposed } = this.#record
    return members.some((one) => one.peer === peer) || proposed.members.includes(peer)
  }

  /** It is there again, and may know nothing of before. */
  cameBack(peer: string): void {
    if (this.#record.state === 'dissolved') this.#back.set(peer, 0)
    if (this.#contacts.get(peer)?.reached !== 'sending') this.#contacts.delete(peer)
  }

  sending(peer: string): void {
    this.#contacts.set(peer, { asOf: this.#asOf(), reached: 'sending', at: 0 })
  }

  answered(peer: string, reached: Reached, now: number): void {
    const asOf = this.#contacts.get(peer)?.asOf
    if (asOf === undefined) return
    this.#contacts.set(peer, { asOf, reached, at: now })
    const inVain = this.#back.get(peer)
    if (inVain !== undefined && reached === 'absent' && inVain + 1 < MOST_LATE) this.#back.set(peer, inVain + 1)
    else this.#back.delete(peer)
    // Those that were left out are told once; what was on its way by then told them to join.
    if (reached !== 'absent' && asOf >= (this.#out.get(peer) ?? 0)) this.#out.delete(peer)
  }

  /** Whom it wants to direct now. */
  told(isThere: (peer: string) => boolean, now: number): Told[] {
    const isOver = this.#record.state === 'dissolved'
    const wants = (peer: string): boolean =>
      isThere(peer) && this.#wants(peer, now) && (!isOver || this.#isToldEnd(peer, now))
    const members = peersOf(this.#record).filter(wants)
    const out = [...this.#out.keys()].filter(wants)
    return [
      ...members.map((peer) => ({ peer, coalition: this.#coalition(isOver ? 0 : this.#leftMs(now)) })),
      ...out.map((peer) => ({ peer, coalition: this.#coalition(0) })),
    ]
  }

  /** What is to be decided about it. */
  wanted(epoch: number, isThere: (peer: string) => boolean, now: number): CoalitionChange | undefined {
    switch (this.#record.state) {
      case 'forming':
        return this.#formed(epoch, isThere, now)
      case 'active':
        return this.#led(epoch, isThere, now)
      case 'dissolved':
        return undefined
    }
  }

  /** When it has to be looked at again, whatever happens. */
  nextDueAt(isThere: (peer: string) => boolean): number | undefined {
    const { state, until } = this.#record
    if (state === 'forming') return until
    let againAt = Number.POSITIVE_INFINITY
    for (const [peer, { reached, at }] of this.#contacts) {
      if (reached !== 'absent' || !isThere(peer)) continue
      if (state === 'active' || this.#isToldEnd(peer, at + AGAIN_MS)) againAt = Math.min(againAt, at + AGAIN_MS)
    }
    if (state === 'active') return Math.min(until, againAt)
    return againAt === Number.POSITIVE_INFINITY ? undefined : againAt
  }

  /** After a while only who may not know it; each ends it by itself when its time is over. */
  #isToldEnd(peer: string, at: number): boolean {
    const { until, changedAt } = this.#record
    return at < changedAt + TELL_MS || (at < until && this.#back.has(peer))
  }

  #asOf(): number {
    return this.#record.fence.index
  }

  #leftMs(now: number): number {
    return Math.max(1, Math.min(MAX_TTL_MS, Math.ceil(this.#record.until - now)))
  }

  #coalition(ttlMs: number): Coalition {
    const { goal, leader, proposed } = this.#record
    const members = peersOf(this.#record)
    // A directive names one at least.
    const named = members.length > 0 ? members : proposed.members
    return { coalition_id: this.id, goal, leader, members: named, ttl_ms: ttlMs }
  }

  #wants(peer: string, now: number): boolean {
    const contact = this.#contacts.get(peer)
    if (this.#record.state === 'forming')
      return this.#out.has(peer) ? this.#isDue(contact, now) : contact === undefined && !this.#hasJoined(peer)
    return this.#isDue(contact, now)
  }

  #isDue(contact: Contact | undefined, now: number): boolean {
    if (contact === undefined) return true
    if (contact.reached === 'sending') return false
    return contact.asOf < this.#asOf() || (contact.reached === 'absent' && now >= contact.at + AGAIN_MS)
  }

  #hasJoined(peer: string): boolean {
    return this.#record.members.some((one) => one.peer === peer && one.accepted)
  }

  #dissolve(epoch: number, reason: string): CoalitionChange {
    return { do: 'dissolve', epoch, id: this.id, reason }
  }

  #formed(epoch: number, isThere: (peer: string) => boolean, now: number): CoalitionChange | undefined {
    const { members, minMembers, until, proposed, fence } = this.#record
    if (now >= until) return this.#dissolve(epoch, 'its time was over before it was formed')
    const asked = members.filter(({ accepted }) => !accepted)
    const reached = (peer: string): Contact['reached'] | undefined =>
      this.#contacts.get(peer)?.reached ?? (isThere(peer) ? undefined : 'absent')
    const peers = asked.filter(({ peer }) => reached(peer) === 'accepted').map(({ peer }) => peer)
    if (peers.length > 0) return { do: 'join', epoch, id: this.id, peers }
    const joined = members.length - asked.length
    const waiting = asked.filter(({ peer }) => reached(peer) === undefined || reached(peer) === 'sending').length
    if (joined + waiting < minMembers)
      return this.#dissolve(epoch, `${joined} of ${proposed.members.length} agents joined, and it needs ${minMembers}`)
    return waiting === 0 ? { do: 'form', epoch, id: this.id, as: fence.index } : undefined
  }

  #led(epoch: number, isThere: (peer: string) => boolean, now: number): CoalitionChange | undefined {
    const { until, fence, leader } = this.#record
    if (now >= until) return this.#dissolve(epoch, 'its time is over')
    const members = peersOf(this.#record)
    const as = fence.index
    const peers = members.filter((peer) => {
      const contact = this.#contacts.get(peer)
      return contact?.reached === 'refused' && contact.asOf === as
    })
    if (peers.length > 0) return { do: 'drop', epoch, id: this.id, as, peers }
    if (!members.some(isThere)) return this.#dissolve(epoch, 'none of its members is there')
    const answers = (peer: string): boolean => {
      const contact = this.#contacts.get(peer)
      return isThere(peer) && !(contact?.reached === 'absent' && contact.asOf === as)
    }
    const next = answers(leader)
      ? leader
      : (members.find(answers) ?? (isThere(leader) ? leader : members.find(isThere)))
    return next === undefined || next === leader ? undefined : { do: 'lead', epoch, id: this.id, as, leader: next }
  }
}
