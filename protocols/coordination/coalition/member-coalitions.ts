/**
 * Coalitions that this node is in. The coordinator directs it to be in one, in another shape of it, or in none (`ttl_ms` 0); its
 * program agrees or refuses. A directive that is older than one that was taken is refused, also after a restart.
 *
 * It ends by itself when its time is over, also where nobody coordinates. State: the coalitions (bounded), until they end.
 */
import { waitFor } from '../../async.ts'
import { isParleyError, stateError } from '../../errors.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Fences } from '../../journal/fencing/fence-guard.ts'
import type { Port } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import type { Coalition } from '../messages.ts'
import type { CoalitionListener, CoalitionNews, CoalitionVerdict } from './coalition-api.ts'
import { coalitionScope } from './coalition-record.ts'

/** Coalitions that one node is in at once. */
export const MAX_MEMBERSHIPS = 256
/** Milliseconds that its program has to agree: less than a directive is sent again for. */
const AGREE_MS = 2_000

/** Its program may have begun a moment ago: it is asked again where it is in it already. */
const JOINS_NONE: CoalitionVerdict = { error: 'agent_unavailable', reason: 'this agent joins no coalitions' }
const NOT_LED: CoalitionVerdict = { error: 'directive_failed', reason: 'its leader is no member' }
const IN_TOO_MANY: CoalitionVerdict = {
  error: 'directive_failed',
  reason: `this agent is in ${MAX_MEMBERSHIPS} coalitions`,
}
const STOPS: CoalitionVerdict = { error: 'agent_unavailable', reason: 'this agent stops' }
const FAILED: CoalitionVerdict = { error: 'directive_failed', reason: 'the agent could not agree' }
const TOO_SLOW: CoalitionVerdict = { error: 'directive_failed', reason: `the agent did not agree in ${AGREE_MS} ms` }

interface Membership {
  readonly coalition: Coalition
  readonly stop: () => void
}

const isSameShape = (a: Coalition, b: Coalition): boolean =>
  a.leader === b.leader && a.members.length === b.members.length && a.members.every((peer, i) => peer === b.members[i])

export interface MemberDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log'>
  readonly fences: Pick<Fences, 'accept'>
}

export class MemberCoalitions {
  readonly #deps: MemberDeps
  readonly #in = new Map<string, Membership>()
  /** What is being done about each, one after the other. */
  readonly #lines = new Map<string, Promise<unknown>>()
  readonly #counts = { accepted: 0, refused: 0 }
  #listener: CoalitionListener | undefined
  /** Coalitions that its program is asked to join now. */
  #joining = 0
  #isStopped = false

  constructor(deps: MemberDeps) {
    this.#deps = deps
  }

  counts(): { memberOf: number; accepted: number; refused: number } {
    return { memberOf: this.#in.size, ...this.#counts }
  }

  isIn(id: string): boolean {
    return this.#in.has(id)
  }

  onCoalition(fn: CoalitionListener): Registration {
    if (this.#listener !== undefined)
      throw stateError('in-use', 'this node hears of its coalitions already', 'stop that first, or do both in one')
    this.#listener = fn
    return createRegistration(() => {
      if (this.#listener === fn) this.#listener = undefined
    })
  }

  /** Of a directive whose sender was found to coordinate. @throws STA002 for an older fence than one that was taken */
  async direct(coalition: Coalition, fence: Fence): Promise<CoalitionVerdict> {
    const { coalition_id: id } = coalition
    const verdict = await this.#inLine(id, async () => {
      await this.#deps.fences.accept(coalitionScope(id), fence)
      return this.#take(coalition)
    })
    this.#counts[verdict === undefined ? 'accepted' : 'refused'] += 1
    return verdict
  }

  /** It left, by this decision. */
  left(id: string, fence: Fence): Promise<void> {
    return this.#inLine(id, async () => {
      this.#drop(id)
      try {
        await this.#deps.fences.accept(coalitionScope(id), fence)
      } catch (error) {
        // It heard of a newer decision before this one.
        if (!isParleyError(error, 'STA002')) throw error
      }
    })
  }

  /** It is in none from then on. */
  stop(): void {
    this.#isStopped = true
    for (const { stop } of this.#in.values()) stop()
    this.#in.clear()
  }

  #inLine<T>(id: string, run: () => Promise<T>): Promise<T> {
    const before = this.#lines.get(id) ?? Promise.resolve()
    const done = before.then(run, run)
    this.#lines.set(id, done)
    const end = (): void => {
      if (this.#lines.get(id) === done) this.#lines.delete(id)
    }
    done.then(end, end)
    return done
  }

  async #take(coalition: Coalition): Promise<CoalitionVerdict> {
    const { coalition_id: id, members, leader, ttl_ms } = coalition
    const endsAt = this.#deps.port.clock.monotonic() + ttl_ms
    const known = this.#in.get(id)
    if (ttl_ms === 0 || !members.includes(this.#deps.port.self.id)) {
      this.#over(id)
      return undefined
    }
    if (!members.includes(leader)) return NOT_LED
    if (this.#isStopped) return STOPS
    if (known === undefined) return this.#join(coalition, endsAt)
    if (!isSameShape(known.coalition, coalition)) {
      const verdict = await this.#ask('changed', coalition)
      if (this.#isStopped) return STOPS
      if (verdict !== undefined) {
        this.#drop(id)
        return verdict
      }
      // Its time was over while its program thought about the change, which has heard of that.
      if (!this.#in.has(id)) return undefined
    }
    this.#keep(coalition, endsAt)
    return undefined
  }

  /** One that its program thinks about takes a place, too: it is asked about no more than there is room for. */
  async #join(coalition: Coalition, endsAt: number): Promise<CoalitionVerdict> {
    if (this.#in.size + this.#joining >= MAX_MEMBERSHIPS) return IN_TOO_MANY
    this.#joining += 1
    const verdict = await this.#ask('joined', coalition)
    this.#joining -= 1
    if (this.#isStopped) return STOPS
    if (verdict === undefined) this.#keep(coalition, endsAt)
    return verdict
  }

  /** @param endsAt by the monotonic clock */
  #keep(coalition: Coalition, endsAt: number): void {
    const { coalition_id: id } = coalition
    const { clock, timers } = this.#deps.port
    this.#in.get(id)?.stop()
    const leftMs = Math.max(0, endsAt - clock.monotonic())
    const stop = timers.after(leftMs, () => this.#over(id))
    this.#in.set(id, { coalition, stop })
  }

  #drop(id: string): Membership | undefined {
    const known = this.#in.get(id)
    known?.stop()
    this.#in.delete(id)
    return known
  }

  #over(id: string): void {
    const known = this.#drop(id)
    // What it says to that does not count.
    if (known !== undefined) void this.#ask('dissolved', known.coalition)
  }

  #news(type: CoalitionNews['type'], { coalition_id: id, goal, leader, members }: Coalition): CoalitionNews {
    return { type, id, goal, leader, isLeader: leader === this.#deps.port.self.id, members }
  }

  /** Its program is not waited for for ever, and its failure is a refusal. */
  async #ask(type: CoalitionNews['type'], coalition: Coalition): Promise<CoalitionVerdict> {
    const { timers, log } = this.#deps.port
    const listener = this.#listener
    if (listener === undefined) return JOINS_NONE
    const news = this.#news(type, coalition)
    try {
      return await waitFor<CoalitionVerdict>(undefined, (resolve, reject) => {
        Promise.resolve()
          .then(() => listener(news))
          .then(resolve, reject)
        return timers.after(AGREE_MS, () => resolve(TOO_SLOW))
      })
    } catch (error) {
      log.warn('the program of this agent failed when it was told of a coalition', { coalition: news.id, type, error })
      return FAILED
    }
  }
}
