/**
 * The driver of the failure detector: gives the machine (swim-machine.ts) what happens, and carries out what it says.
 *
 * One timer, set to when the machine is next due; when it comes late, what arrived meanwhile is read before the machine is
 * asked.
 * State: the machine, what neighbours said last, the timer, indirect probes that wait for their end (at most as many as
 * the mesh's own protocols run at a time).
 */

import type { Handlers } from '../../protocols/define.ts'
import { isParleyError } from '../../protocols/errors.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import type { Activity } from '../agent-activity.ts'
import type { Departure } from '../directory/record/agent-record.ts'
import { fraction } from '../two-choices.ts'
import type { MemberStatus, MembershipUpdate } from './membership-update.ts'
import { activityFields, NeighbourHeartbeats } from './neighbour-heartbeats.ts'
import { createNeighbourLimits, type NeighbourLimits } from './neighbour-limits.ts'
import { type Heartbeat, presenceProtocol } from './protocol.ts'
import { type SwimInput, step } from './swim-machine.ts'
import type { SwimSettings } from './swim-settings.ts'
import { createSwimState, type ProbeOutcome, type SwimEffect, type SwimState } from './swim-state.ts'

export type SwimPort = Pick<
  Port,
  'self' | 'clock' | 'timers' | 'log' | 'metrics' | 'random' | 'members' | 'onMember' | 'to' | 'serve'
>

/** What is believed of a peer from now on. */
export interface MemberStatusChange {
  readonly peer: string
  readonly status: MemberStatus
  /** Of one that left: whether it means to come back. */
  readonly departure?: Departure | undefined
  /** Of a neighbour that is dead: milliseconds since it was heard. */
  readonly silentMs?: number | undefined
}

export interface SwimDeps {
  readonly port: SwimPort
  /** What goes with each message. */
  load(): { load: number; queueLength: number }
  activity?(): Activity
  /** Members of the mesh, this node included. */
  members(): number
  /** Of the start of the peer that its record is of; older claims say nothing. */
  incarnationOf(peer: string): number | undefined
  changed(change: MemberStatusChange): void
  /** Others called this node dead, or may have. */
  presumedDead(): void
}

/** A timer this late means that the process stood still; what came meanwhile is read first. */
const LATE_MS = 50

/** What is counted, by effect. */
const EVENTS: Readonly<Partial<Record<SwimEffect['type'], string>>> = {
  suspect: 'suspicion',
  dead: 'death',
  alive: 'revival',
  refuted: 'refutation',
}

export class SwimDriver {
  readonly state: SwimState
  readonly heartbeats: NeighbourHeartbeats
  readonly #deps: SwimDeps
  readonly #limits: NeighbourLimits
  readonly #count: (labels: { event: string }) => void
  /** By number: where the outcome of an indirect probe for another node goes. */
  readonly #asked = new Map<number, (outcome: ProbeOutcome) => void>()
  #lastAsked = 0
  #isStopped = false
  #armedAtMs = Number.POSITIVE_INFINITY
  /** The timer came late, and what arrived meanwhile is being read. */
  #isReading = false
  #stopTimer: Stop = () => {}

  constructor(deps: SwimDeps, settings: Partial<SwimSettings>) {
    const { port } = deps
    this.#deps = deps
    this.heartbeats = new NeighbourHeartbeats(port.clock)
    this.state = createSwimState(port.self, () => fraction(port.random(4)), this.#now(), settings)
    this.#count = port.metrics.counter('membership_events_total', 'What the failure detector found', ['event'])
    port.metrics.gauge('membership_suspects', 'Peers that are suspect', () => this.state.suspects.size)
    port.metrics.gauge('membership_health', 'How slow this node finds itself, 0 to 8', () => this.state.health)
    const refused = port.metrics.counter('membership_refused_total', 'What neighbours said or asked too often', [
      'what',
    ])
    this.#limits = createNeighbourLimits(
      (peer) => peer === port.self.id || this.state.neighbours.has(peer) || deps.incarnationOf(peer) !== undefined,
      (what) => refused({ what }),
    )
  }

  /** What others ask of this node. */
  handlers(): Handlers<typeof presenceProtocol> {
    return {
      beat: (beat, { peer }) => {
        this.heartbeats.note(peer, beat)
        if (!this.#limits.takeProbe(peer, this.#now())) return this.#own([])
        const news = this.#newsOf(peer, beat)
        return this.#own(this.take({ type: 'probed', peer, incarnation: beat.incarnation, news }))
      },
      ask: async ({ target }, { peer }) => {
        if (!this.#limits.takeIndirectProbe(peer, this.#now())) return { outcome: 'unknown' }
        return { outcome: await this.#probeFor(peer, target) }
      },
    }
  }

  /** Probes from here on. */
  start(): void {
    this.#arm()
  }

  connected(peer: string): void {
    this.heartbeats.add(peer)
    this.take({ type: 'connected', peer })
  }

  /** @param parted given up by both sides because nobody needs it */
  disconnected(peer: string, parted: boolean): void {
    this.heartbeats.remove(peer)
    this.take({ type: 'disconnected', peer, parted })
  }

  /** @returns the claims of the answer, where the input was a question */
  take(input: SwimInput): readonly MembershipUpdate[] {
    if (this.#isStopped) return []
    let answer: readonly MembershipUpdate[] = []
    for (const effect of step(this.state, input, this.#now())) {
      if (effect.type === 'answer') answer = effect.news
      else {
        const event = EVENTS[effect.type]
        if (event !== undefined) this.#count({ event })
        this.#carryOut(effect)
      }
    }
    this.#arm()
    return answer
  }

  /** Who waits for the outcome of an indirect probe hears that it is unknown. */
  stop(): void {
    this.#isStopped = true
    this.#stopTimer()
    this.heartbeats.clear()
    for (const resolve of this.#asked.values()) resolve('unknown')
  }

  #now(): number {
    return this.#deps.port.clock.monotonic()
  }

  #own(news: readonly MembershipUpdate[]): Heartbeat {
    const deps = this.#deps
    return {
      agentId: deps.port.self.id,
      incarnation: this.state.incarnation,
      ...deps.load(),
      ...activityFields(deps.activity?.()),
      ...(news.length === 0 ? {} : { news: [...news] }),
    }
  }

  /** Of what a neighbour claims, what may count. */
  #newsOf(from: string, { news = [] }: Heartbeat): MembershipUpdate[] {
    const recent = news.filter(({ peer, incarnation }) => incarnation >= (this.#deps.incarnationOf(peer) ?? 0))
    return recent.length === 0 ? recent : this.#limits.takeUpdates(from, recent, this.#now())
  }

  #carryOut(effect: Exclude<SwimEffect, { type: 'answer' }>): void {
    const deps = this.#deps
    if (effect.type === 'probe') void this.#probe(effect)
    else if (effect.type === 'ask') void this.#ask(effect)
    else if (effect.type === 'report') this.#asked.get(effect.id)?.(effect.outcome)
    else if (effect.type === 'refuted') {
      if (effect.isPresumedDead) deps.presumedDead()
    } else if (effect.type === 'dead') deps.changed({ peer: effect.peer, status: 'dead', silentMs: effect.silentMs })
    else if (effect.type === 'left') deps.changed({ peer: effect.peer, status: 'left', departure: effect.departure })
    else deps.changed({ peer: effect.peer, status: effect.type })
  }

  /** A call; its answer is the acknowledgement. */
  async #probe({ seq, peer, news, waitMs }: SwimEffect & { type: 'probe' }): Promise<void> {
    const startedAtMs = this.#now()
    try {
      const client = this.#deps.port.to(peer, presenceProtocol)
      const answer = await client.beat(this.#own(news), { timeoutMs: Math.ceil(waitMs) })
      this.heartbeats.note(peer, answer, this.#now() - startedAtMs)
      this.take({ type: 'acked', seq, peer, incarnation: answer.incarnation, news: this.#newsOf(peer, answer) })
    } catch {
      this.take({ type: 'failed', seq })
    }
  }

  async #ask({ seq, via, target, waitMs }: SwimEffect & { type: 'ask' }): Promise<void> {
    try {
      const client = this.#deps.port.to(via, presenceProtocol)
      const { outcome } = await client.ask({ target }, { timeoutMs: Math.ceil(waitMs) })
      this.take({ type: 'reported', seq, outcome })
    } catch (error) {
      // A peer of an earlier release answered, and does not know the question.
      if (isParleyError(error, 'MSG004')) this.take({ type: 'reported', seq, outcome: 'unknown' })
    }
  }

  /** An indirect probe for another node. */
  async #probeFor(peer: string, target: string): Promise<ProbeOutcome> {
    this.#lastAsked += 1
    const id = this.#lastAsked
    const outcome = await new Promise<ProbeOutcome>((resolve) => {
      this.#asked.set(id, resolve)
      if (this.#isStopped) resolve('unknown')
      this.take({ type: 'asked', peer, id, target })
    })
    this.#asked.delete(id)
    return outcome
  }

  /** Earlier only: a timer that comes too early costs less than one that is set anew each time. */
  #arm(): void {
    if (!this.#isStopped && this.state.wakeAtMs < this.#armedAtMs) this.#armFor(this.state.wakeAtMs)
  }

  #armFor(atMs: number): void {
    this.#stopTimer()
    this.#armedAtMs = atMs
    this.#stopTimer = this.#deps.port.timers.after(Math.max(0, atMs - this.#now()), () => this.#wake())
  }

  #wake(): void {
    this.#armedAtMs = Number.POSITIVE_INFINITY
    const lateMs = this.#now() - this.state.wakeAtMs
    const isLate = lateMs > LATE_MS && !this.#isReading
    if (lateMs < 0) this.#arm()
    else if (isLate) this.#armFor(this.#now())
    else this.take({ type: 'tick', members: this.#deps.members() })
    this.#isReading = isLate
  }
}
