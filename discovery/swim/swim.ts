/**
 * The failure detector over a Port: gives the machine (swim-machine.ts) what happens, and carries out what it says.
 *
 * Each probe is a call over the mesh's own links, its answer the acknowledgement; claims ride on both. Beside that it
 * keeps what neighbours tell of their load, and how long their answers take. One timer, set to when the machine is next
 * due; when it comes late, what arrived meanwhile is read before the machine is asked.
 * State: the machine, the last message of each neighbour, indirect probes that wait for their end (at most as many as
 * the mesh's own protocols run at a time), listeners. All of it is dropped at `stop`.
 */
import { isParleyError } from '../../protocols/errors.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import type { Activity } from '../agent-activity.ts'
import type { Departure } from '../directory/record/agent-record.ts'
import { fraction } from '../two-choices.ts'
import type { MemberStatus, MembershipUpdate } from './membership-update.ts'
import { createNeighbourLimits } from './neighbour-limits.ts'
import { type Heartbeat, presenceProtocol } from './protocol.ts'
import { type SwimInput, step } from './swim-machine.ts'
import type { SwimSettings } from './swim-settings.ts'
import { createSwimState, type ProbeOutcome, type SwimCounts, type SwimEffect } from './swim-state.ts'

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

export interface Swim {
  load(peer: string): { load: number; queueLength: number } | undefined
  /** How a neighbour gets on with its work, as it told last; undefined where it did not. */
  activity(peer: string): Activity | undefined
  rttMs(peer: string): number | undefined
  /** Milliseconds since a connected peer was heard last. */
  silentMs(peer: string): number | undefined
  /**
   * Neighbours that have not answered this node for so long although it asked them again and again, whatever others say
   * of them: what stands between the two of them is broken, and a new connection may do.
   */
  unresponsive(forMs: number): { readonly peer: string; readonly silentMs: number }[]
  /** Of a peer that nobody speaks of: alive. */
  statusOf(peer: string): MemberStatus
  /** The directory has a record of this start of the peer. */
  member(peer: string, incarnation: number): void
  /** It said goodbye. */
  left(peer: string, incarnation: number, departure: Departure | undefined): void
  /** This node has said goodbye. */
  leave(): void
  stats(): SwimCounts & { suspects: number; rumours: number; rumoursDropped: number; health: number }
  stop(): Promise<void>
}

/** A timer this late means that the process stood still; what came meanwhile is read first. */
const LATE_MS = 50

/** Probes without an answer before a way counts as broken: in a large mesh a neighbour is not heard for a while anyway. */
const UNANSWERED = 3

/** What is counted, by effect. */
const EVENTS: Readonly<Partial<Record<SwimEffect['type'], string>>> = {
  suspect: 'suspicion',
  dead: 'death',
  alive: 'revival',
  refuted: 'refutation',
}

/** As it stands in a message. */
const told = (activity: Activity | undefined): Pick<Heartbeat, 'activity' | 'sinceMs' | 'progress'> =>
  activity === undefined
    ? {}
    : {
        activity: activity.state,
        ...(activity.sinceMs === undefined ? {} : { sinceMs: activity.sinceMs }),
        ...(activity.progress === undefined ? {} : { progress: activity.progress }),
      }

interface Heard {
  last: Heartbeat | undefined
  lastAtMs: number
  rttMs: number | undefined
}

export const createSwim = async (deps: SwimDeps, settings: Partial<SwimSettings> = {}): Promise<Swim> => {
  const { port } = deps
  const now = (): number => port.clock.monotonic()
  const random = (): number => fraction(port.random(4))
  const swim = createSwimState(port.self, random, now(), settings)
  const heard = new Map<string, Heard>()
  /** By number: where the outcome of an indirect probe for another node goes. */
  const asked = new Map<number, (outcome: ProbeOutcome) => void>()
  let lastAsked = 0
  let isStopped = false

  const count = port.metrics.counter('membership_events_total', 'What the failure detector found', ['event'])
  port.metrics.gauge('membership_suspects', 'Peers that are suspect', () => swim.suspects.size)
  port.metrics.gauge('membership_health', 'How slow this node finds itself, 0 to 8', () => swim.health)

  const own = (news: readonly MembershipUpdate[]): Heartbeat => ({
    agentId: port.self.id,
    incarnation: swim.incarnation,
    ...deps.load(),
    ...told(deps.activity?.()),
    ...(news.length === 0 ? {} : { news: [...news] }),
  })
  const refused = port.metrics.counter('membership_refused_total', 'What neighbours said or asked too often', ['what'])
  const intake = createNeighbourLimits(
    (peer) => peer === port.self.id || swim.neighbours.has(peer) || deps.incarnationOf(peer) !== undefined,
    (what) => refused({ what }),
  )
  const newsOf = (from: string, { news = [] }: Heartbeat): MembershipUpdate[] => {
    const recent = news.filter(({ peer, incarnation }) => incarnation >= (deps.incarnationOf(peer) ?? 0))
    return recent.length === 0 ? recent : intake.takeUpdates(from, recent, now())
  }

  const note = (peer: string, beat: Heartbeat): void => {
    const entry = heard.get(peer)
    if (entry === undefined) return
    entry.last = beat
    entry.lastAtMs = now()
  }

  const probe = async ({ seq, peer, news, waitMs }: SwimEffect & { type: 'probe' }): Promise<void> => {
    const startedAt = now()
    try {
      const answer = await port.to(peer, presenceProtocol).beat(own(news), { timeoutMs: Math.ceil(waitMs) })
      const entry = heard.get(peer)
      if (entry !== undefined) entry.rttMs = now() - startedAt
      note(peer, answer)
      take({ type: 'acked', seq, peer, incarnation: answer.incarnation, news: newsOf(peer, answer) })
    } catch {
      take({ type: 'failed', seq })
    }
  }

  const ask = async ({ seq, via, target, waitMs }: SwimEffect & { type: 'ask' }): Promise<void> => {
    try {
      const { outcome } = await port.to(via, presenceProtocol).ask({ target }, { timeoutMs: Math.ceil(waitMs) })
      take({ type: 'reported', seq, outcome })
    } catch (error) {
      // A peer of an earlier release answered, and does not know the question.
      if (isParleyError(error, 'MSG004')) take({ type: 'reported', seq, outcome: 'unknown' })
    }
  }

  const carryOut = (effect: SwimEffect): void => {
    if (effect.type === 'probe') void probe(effect)
    else if (effect.type === 'ask') void ask(effect)
    else if (effect.type === 'report') asked.get(effect.id)?.(effect.outcome)
    else if (effect.type === 'refuted') {
      if (effect.isPresumedDead) deps.presumedDead()
    } else if (effect.type === 'dead') deps.changed({ peer: effect.peer, status: 'dead', silentMs: effect.silentMs })
    else if (effect.type === 'left') deps.changed({ peer: effect.peer, status: 'left', departure: effect.departure })
    else if (effect.type !== 'answer') deps.changed({ peer: effect.peer, status: effect.type })
  }

  let armedAtMs = Number.POSITIVE_INFINITY
  let isReading = false
  let stopTimer: Stop = () => {}
  const armFor = (atMs: number): void => {
    stopTimer()
    armedAtMs = atMs
    stopTimer = port.timers.after(Math.max(0, atMs - now()), wake)
  }
  /** Earlier only: a timer that comes too early costs less than one that is set anew each time. */
  const arm = (): void => {
    if (!isStopped && swim.wakeAtMs < armedAtMs) armFor(swim.wakeAtMs)
  }
  const wake = (): void => {
    armedAtMs = Number.POSITIVE_INFINITY
    const lateMs = now() - swim.wakeAtMs
    const isLate = lateMs > LATE_MS && !isReading
    if (lateMs < 0) arm()
    else if (isLate) armFor(now())
    else take({ type: 'tick', members: deps.members() })
    isReading = isLate
  }

  /** @returns the claims of the answer, where the input was a question */
  const take = (input: SwimInput): readonly MembershipUpdate[] => {
    if (isStopped) return []
    let answer: readonly MembershipUpdate[] = []
    for (const effect of step(swim, input, now())) {
      if (effect.type === 'answer') answer = effect.news
      else {
        const event = EVENTS[effect.type]
        if (event !== undefined) count({ event })
        carryOut(effect)
      }
    }
    arm()
    return answer
  }

  const unserve = await port.serve(presenceProtocol, {
    beat(beat, { peer }) {
      note(peer, beat)
      if (!intake.takeProbe(peer, now())) return own([])
      return own(take({ type: 'probed', peer, incarnation: beat.incarnation, news: newsOf(peer, beat) }))
    },
    async ask({ target }, { peer }) {
      if (!intake.takeIndirectProbe(peer, now())) return { outcome: 'unknown' }
      lastAsked += 1
      const id = lastAsked
      const outcome = await new Promise<ProbeOutcome>((resolve) => {
        asked.set(id, resolve)
        if (isStopped) resolve('unknown')
        take({ type: 'asked', peer, id, target })
      })
      asked.delete(id)
      return { outcome }
    },
  })

  const watch = (peer: string): void => {
    heard.set(peer, { last: undefined, lastAtMs: 0, rttMs: undefined })
    take({ type: 'connected', peer })
  }
  const stopMembers = port.onMember(({ id }, change, parted = false) => {
    if (change === 'joined') return watch(id)
    heard.delete(id)
    take({ type: 'disconnected', peer: id, parted })
  })
  for (const { id } of port.members()) watch(id)
  arm()

  const stats: Swim['stats'] = () => ({
    ...swim.counts,
    suspects: swim.suspects.size,
    rumours: swim.broadcasts.size(),
    rumoursDropped: swim.broadcasts.dropped(),
    health: swim.health,
  })

  return {
    load(peer) {
      const last = heard.get(peer)?.last
      return last === undefined ? undefined : { load: last.load, queueLength: last.queueLength }
    },
    activity(peer) {
      const { last, lastAtMs = 0 } = heard.get(peer) ?? {}
      if (last?.activity === undefined) return undefined
      const { activity: state, sinceMs, progress } = last
      return {
        state,
        ...(sinceMs === undefined ? {} : { sinceMs: Math.round(sinceMs + now() - lastAtMs) }),
        ...(progress === undefined ? {} : { progress }),
      }
    },
    rttMs: (peer) => heard.get(peer)?.rttMs,
    silentMs(peer) {
      const member = swim.neighbours.get(peer)
      return member === undefined ? undefined : Math.max(0, now() - member.lastSeenAtMs)
    },
    unresponsive: (forMs) =>
      [...swim.neighbours.values()]
        .filter(({ unanswered, unansweredSinceMs }) => unanswered >= UNANSWERED && now() - unansweredSinceMs > forMs)
        .map(({ peer, unansweredSinceMs }) => ({ peer, silentMs: now() - unansweredSinceMs })),
    statusOf: (peer) => swim.members.get(peer)?.standing ?? 'alive',
    member: (peer, incarnation) => void take({ type: 'member', peer, incarnation }),
    left: (peer, incarnation, departure) => void take({ type: 'left', peer, incarnation, departure }),
    leave: () => void take({ type: 'leave' }),
    stats,
    async stop() {
      isStopped = true
      stopTimer()
      stopMembers()
      heard.clear()
      for (const resolve of asked.values()) resolve('unknown')
      await unserve()
    },
  }
}
