/**
 * What holds at members: directives never go back in fence, also after a restart; two of one decision name one leader; nobody is in
 * a coalition that its program did not agree to, that it left, or whose time is over. State: what each was directed, and answered.
 */
import { START_MS } from '../../../node/testing/virtual/virtual-time.ts'
import type { CoalitionNews, CoalitionVerdict } from '../../../protocols/coordination/coalition/coalition-api.ts'
import { peersOf } from '../../../protocols/coordination/coalition/coalition-record.ts'
import type { Coalition } from '../../../protocols/coordination/messages.ts'
import { compareFences, type Fence, NO_FENCE } from '../../../protocols/journal/fencing/fence.ts'
import type { CoalitionObserver } from './observer.ts'

/** What its time may be over for, milliseconds: a directive on its way, the program's answer, a node that is frozen. */
const LATE_MS = 12_000

/** What its program was told last of a coalition, and whether it agreed to that. */
export interface Stance {
  readonly news: CoalitionNews
  agrees: boolean
}

/** One life of a node: what its program knows ends with it. */
export class MemberLife {
  readonly peer: string
  /** By coalition. */
  readonly stances = new Map<string, Stance>()
  readonly left = new Set<string>()

  constructor(peer: string) {
    this.peer = peer
  }
}

export class MemberWatch {
  readonly counts = { taken: 0, refusals: 0, older: 0, left: 0 }
  readonly #observer: CoalitionObserver
  readonly #tell: (problem: string) => void
  readonly #agreed = new Set<string>()
  readonly #fences = new Map<string, Fence>()
  /** By coalition and decision. */
  readonly #leaders = new Map<string, string>()

  constructor(observer: CoalitionObserver, tell: (problem: string) => void) {
    this.#observer = observer
    this.#tell = tell
  }

  hasAgreed(id: string, peer: string): boolean {
    return this.#agreed.has(`${id} ${peer}`)
  }

  /** Its program is told. */
  told(life: MemberLife, news: CoalitionNews): Stance {
    const { id, type } = news
    if (life.left.has(id) && type !== 'dissolved') this.#tell(`${life.peer} left ${id}, and hears that it is ${type}`)
    if (news.isLeader !== (news.leader === life.peer)) this.#tell(`${life.peer} hears wrongly who leads ${id}`)
    const stance = { news, agrees: false }
    life.stances.set(id, stance)
    return stance
  }

  /** A directive was let through and answered. @param isIn whether the member is in it now */
  directed(life: MemberLife, coalition: Coalition, fence: Fence, verdict: CoalitionVerdict, isIn: boolean): void {
    const { peer } = life
    const { coalition_id: id, leader, members, ttl_ms } = coalition
    this.counts[verdict === undefined ? 'taken' : 'refusals'] += 1
    const key = `${id} ${peer}`
    if (compareFences(fence, this.#fences.get(key) ?? NO_FENCE) < 0) this.#tell(`${peer} was led back in ${id}`)
    this.#fences.set(key, fence)
    const isMember = ttl_ms > 0 && members.includes(peer)
    if (isMember) this.#oneLeader(id, leader, fence)
    const record = this.#observer.versionAt(id, fence.index)
    if (record !== undefined && isMember && (record.leader !== leader || !peersOf(record).includes(peer)))
      this.#tell(`${peer} was directed otherwise than ${id} is as of ${fence.index}`)
    if (verdict !== undefined || !isMember) {
      if (isIn) this.#tell(`${peer} is in ${id}, and ${verdict === undefined ? 'was told that it is over' : 'refused'}`)
      return
    }
    if (life.stances.get(id)?.agrees === true) this.#agreed.add(key)
    else if (isIn) this.#tell(`${peer} took ${id}, and its program did not agree`)
  }

  left(life: MemberLife, id: string, isIn: boolean): void {
    this.counts.left += 1
    life.left.add(id)
    if (isIn) this.#tell(`${life.peer} left ${id}, and is in it`)
  }

  /** At any time. @param isIn as the node says */
  look(life: MemberLife, isIn: (id: string) => boolean, nowMs: number): void {
    for (const [id, { news, agrees }] of life.stances) {
      if (!isIn(id)) continue
      if (life.left.has(id)) this.#tell(`${life.peer} left ${id}, and is in it again`)
      const until = this.#observer.versions(id)[0]?.until
      if (until !== undefined && START_MS + nowMs > until + LATE_MS)
        this.#tell(`${life.peer} is in ${id}, whose time is long over`)
      // While it thinks about a change it is in it as before.
      if (news.type === 'dissolved' && !agrees) this.#tell(`${life.peer} was told that ${id} is over, and is in it`)
    }
  }

  #oneLeader(id: string, leader: string, { term, index }: Fence): void {
    const decision = `${id} ${term}.${index}`
    const known = this.#leaders.get(decision) ?? leader
    this.#leaders.set(decision, leader)
    if (known !== leader) this.#tell(`${id} is led by ${known} and ${leader} as of ${index}`)
  }
}
