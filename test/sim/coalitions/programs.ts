/**
 * What programs of the simulated mesh do about coalitions, and what they say when they are told of one. They check what they are
 * answered. State: what was asked for and has not ended.
 */
import type { VirtualTime } from '../../../node/testing/virtual/virtual-time.ts'
import type {
  CoalitionNews,
  CoalitionStatus,
  CoalitionVerdict,
} from '../../../protocols/coordination/coalition/coalition-api.ts'
import type { CoalitionRecord } from '../../../protocols/coordination/coalition/coalition-record.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import type { JournalNode } from '../../support/journal-mesh.ts'
import type { MemberWatch } from './members.ts'
import type { CoalitionNode } from './node.ts'
import type { CoalitionNodes } from './nodes.ts'
import type { CoalitionObserver } from './observer.ts'

export const DAY_MS = 86_400_000
const SHORT_MS = [500, 12_000] as const
const SHORT_SHARE = 0.35
const FORM_MS = 30_000
/** What a `form` may end late. */
const LATE_MS = 6_000
/** What no node has. */
const STRANGER = 'peerofnobody'
const STRANGER_SHARE = 0.08
const ENDS = new Set(['COM001', 'COM002', 'COM003', 'COM004', 'STA003'])

/** A `form` that has not ended. */
interface Asked {
  readonly one: CoalitionNode
  readonly endsAt: number
}

export interface ProgramsDeps {
  readonly time: VirtualTime
  readonly random: () => number
  readonly observer: CoalitionObserver
  readonly members: MemberWatch
  readonly nodes: () => CoalitionNodes
  /** All that was decided by now is seen by the observer. */
  seen(): void
  tell(line: string): void
  problem(what: string): void
}

export class CoalitionPrograms {
  readonly counts = { active: 0, failed: 0, refused: 0, leaves: 0, ends: 0 }
  readonly asked = new Map<string, Asked>()
  /** From now on they agree to all. */
  isCalm = false
  readonly #deps: ProgramsDeps
  #ids = 0

  constructor(deps: ProgramsDeps) {
    this.#deps = deps
  }

  /** What a program says: it may take its time, fail, and refuse. */
  async judge(news: CoalitionNews, { name, port }: JournalNode): Promise<CoalitionVerdict> {
    this.#deps.seen()
    const what = this.isCalm ? 1 : this.#deps.random()
    if (what < 0.08) await new Promise<void>((resolve) => port.timers.after(this.#deps.random() * 4_000, resolve))
    else if (what < 0.11) throw new Error('a program that fails')
    else if (what < (news.type === 'joined' ? 0.22 : 0.15)) {
      this.counts.refused += 1
      this.#deps.tell(`${name} refuses ${news.id}, ${news.type}`)
      return {
        error: this.#anyOf(['directive_failed', 'resource_conflict', 'agent_unavailable']) ?? 'directive_failed',
      }
    }
    this.#deps.tell(`${name} hears of ${news.id}: ${news.type}, led by ${news.leader}`)
    return undefined
  }

  /** One thing that a program does, or none. */
  act(): void {
    const one = this.#anyOf(this.#deps.nodes().all())
    if (one === undefined) return
    const what = this.#deps.random()
    if (what < 0.4) this.form(one, this.#some(this.#deps.nodes().peers()))
    else if (what < 0.5) this.#leave()
    else if (what < 0.62) this.dissolve(one, this.#anyOf([...this.#deps.observer.newest().keys()]))
  }

  /** In any order. */
  #some(peers: readonly string[]): string[] {
    const chosen = peers.filter(() => this.#happens(0.65))
    const members = chosen.length > 0 ? chosen : [...peers]
    for (let i = members.length - 1; i > 0; i -= 1) {
      const j = this.#below(i + 1)
      const [a = '', b = ''] = [members[i], members[j]]
      members[i] = b
      members[j] = a
    }
    return this.#happens(STRANGER_SHARE) ? [...members, STRANGER] : members
  }

  form(one: CoalitionNode, members: string[], ttlMs = this.#ttlMs()): void {
    const id = `c${this.#ids}`
    this.#ids += 1
    const minMembers = this.#happens(0.3) ? members.length : 1 + this.#below(members.length)
    const leader = this.#happens(0.5) ? this.#anyOf(members) : undefined
    const timeoutMs = this.#happens(0.15) ? 1 + this.#below(2_000) : FORM_MS
    const what = {
      id,
      goal: 'simulated',
      members,
      minMembers,
      ttlMs,
      timeoutMs,
      ...(leader !== undefined && { leader }),
    }
    this.#deps.tell(`${one.node.name} forms ${id} of ${members.length}, ${minMembers} at least, for ${ttlMs} ms`)
    const asked = { one, endsAt: this.#deps.time.now() + timeoutMs + LATE_MS }
    this.asked.set(id, asked)
    const end = (): void => void this.asked.delete(id)
    one.coalitions.form(what).then(
      (status) => {
        end()
        this.#formed(id, status)
      },
      (error: unknown) => {
        end()
        this.#notFormed(id, error)
      },
    )
  }

  #ttlMs(): number {
    return this.#happens(SHORT_SHARE) ? SHORT_MS[0] + this.#below(SHORT_MS[1]) : DAY_MS
  }

  #formed(id: string, { state, leader, members }: CoalitionStatus): void {
    this.#deps.seen()
    this.counts.active += 1
    this.#deps.tell(`${id} is formed`)
    const same = (record: CoalitionRecord): boolean =>
      record.state === 'active' &&
      record.leader === leader &&
      JSON.stringify(record.members) === JSON.stringify(members)
    if (state !== 'active' || !this.#deps.observer.versions(id).some(same))
      this.#deps.problem(`${id} was said to be formed, and never was so`)
  }

  #notFormed(id: string, error: unknown): void {
    this.#deps.seen()
    this.counts.failed += 1
    this.#deps.tell(`${id} is not formed: ${error}`)
    if (!isParleyError(error) || !ENDS.has(error.code)) this.#deps.problem(`${id} failed: ${error}`)
    else if (error.details.reason === 'not-formed' && this.#deps.observer.newest().get(id)?.state !== 'dissolved')
      this.#deps.problem(`${id} was said to be dissolved, and is not`)
  }

  /** Of one that it is in, mostly. */
  #leave(): void {
    const all = this.#deps
      .nodes()
      .all()
      .flatMap((one) => [...one.life.stances.keys()].map((id) => ({ one, id })))
    const inside = all.filter(({ one, id }) => one.coalitions.isIn(id))
    const chosen = this.#anyOf(inside.length > 0 && this.#happens(0.9) ? inside : all)
    if (chosen === undefined) return
    const { one, id } = chosen
    this.#deps.tell(`${one.node.name} leaves ${id}`)
    one.coalitions.leave(id).then(
      () => {
        this.counts.leaves += 1
        this.#deps.members.left(one.life, id, one.coalitions.isIn(id))
      },
      (error: unknown) => this.#deps.tell(`${one.node.name} did not leave ${id}: ${error}`),
    )
  }

  dissolve({ node, coalitions }: CoalitionNode, id: string | undefined): void {
    if (id === undefined) return
    this.#deps.tell(`${node.name} dissolves ${id}`)
    coalitions.dissolve(id, 'no need').then(
      () => {
        this.counts.ends += 1
        const versions = this.#deps.observer.versions(id)
        const led = versions.some(({ state, leader }) => state === 'active' && leader === node.id)
        if (versions[0]?.owner !== node.id && !led && node.id !== this.#deps.nodes().holder())
          this.#deps.problem(`${node.name} dissolved ${id}, and may not`)
      },
      (error: unknown) => this.#deps.tell(`${node.name} did not dissolve ${id}: ${error}`),
    )
  }

  #happens(share: number): boolean {
    return this.#deps.random() < share
  }

  #below(count: number): number {
    return Math.floor(this.#deps.random() * count)
  }

  #anyOf<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length)]
  }
}
