/**
 * Is a connected peer still working? A beat each period, over the mesh's own links. Who was just asked for one asks for
 * none itself: a beat tells both sides, so most pairs exchange one a period. Where many watch, each pair takes longer:
 * a peer is still asked by somebody several times a period, as in SWIM (Das et al., DSN 2002).
 *
 * A frozen process keeps its connections, so silence is what tells: after `suspectAfter` beats without an answer a peer
 * gets no new work, after `deadAfterMs` of silence its connection is closed, which fails what waits for it. When this
 * node itself was held up (its own timer came late), the round is skipped: a slow observer condemns nobody (the local
 * health of Lifeguard, arXiv:1707.00788). Wire id: `/parley/presence/1`; the message is MESSAGES.md's HEARTBEAT.
 * State: one entry per connected peer.
 */
import * as z from 'zod'
import { defineProtocol } from '../protocols/define.ts'
import type { Log, Port, Stop } from '../protocols/port.ts'

const Heartbeat = z.object({
  agentId: z.string().max(128),
  incarnation: z.number().int().nonnegative(),
  /** Handlers in work. */
  load: z.number().nonnegative(),
  /** Requests that wait for a handler. */
  queueLength: z.number().int().nonnegative(),
})
export type Heartbeat = z.output<typeof Heartbeat>

export const presence = defineProtocol({
  name: 'presence',
  version: '1.0.0',
  methods: {
    beat: { request: Heartbeat, response: Heartbeat, idempotent: true, priority: 'critical', timeoutMs: 1000 },
  },
})

/** Beats after which a node asks although it was asked. */
const ASK_EVERY = 5
/** With more peers than this, a pair does not beat each period any more. */
const EACH_PERIOD = 4
/** A pair beats at least this often before silence counts as death. */
const BEATS_BEFORE_DEAD = 3

/** A beat may come earlier, to this part of its period: rounds are not exact. */
const EARLY = 0.75

/** Milliseconds between two beats of a pair. */
export const pairPeriodMs = (peers: number, { periodMs, deadAfterMs }: PresenceOptions): number =>
  Math.max(periodMs, Math.min((periodMs * peers) / EACH_PERIOD, deadAfterMs / BEATS_BEFORE_DEAD))

export interface PresenceOptions {
  periodMs: number
  timeoutMs: number
  suspectAfter: number
  deadAfterMs: number
}

export interface PresenceDeps {
  port: Pick<Port, 'self' | 'clock' | 'timers' | 'members' | 'onMember' | 'to' | 'serve'>
  log: Log
  load(): { load: number; queueLength: number }
  suspect(peer: string): void
  alive(peer: string): void
  dead(peer: string, silentMs: number): void
}

export interface Presence {
  load(peer: string): { load: number; queueLength: number } | undefined
  rttMs(peer: string): number | undefined
  /** Milliseconds since a connected peer was heard last. */
  silentMs(peer: string): number | undefined
  stop(): Promise<void>
}

interface Watched {
  missed: number
  heardAt: number
  /** Its last beat, and this node's last beat to it. */
  toldAt: number
  askedAt: number
  rttMs: number | undefined
  last: Heartbeat | undefined
  beating: boolean
}

export const createPresence = async (deps: PresenceDeps, options: PresenceOptions): Promise<Presence> => {
  const { port } = deps
  const watched = new Map<string, Watched>()
  const now = (): number => port.clock.monotonic()

  const own = (): Heartbeat => ({ agentId: port.self.id, incarnation: port.self.incarnation, ...deps.load() })

  const heard = (peer: string, entry: Watched, beat: Heartbeat): void => {
    entry.heardAt = now()
    entry.last = beat
    if (entry.missed >= options.suspectAfter) deps.alive(peer)
    entry.missed = 0
  }

  const unserve = await port.serve(presence, {
    beat(beat, { peer }) {
      const entry = watched.get(peer)
      if (entry !== undefined) {
        entry.toldAt = now()
        heard(peer, entry, beat)
      }
      return own()
    },
  })

  const beat = async (peer: string, entry: Watched): Promise<void> => {
    entry.beating = true
    const startedAt = now()
    entry.askedAt = startedAt
    try {
      const answer = await port.to(peer, presence).beat(own(), { timeoutMs: options.timeoutMs })
      entry.rttMs = now() - startedAt
      heard(peer, entry, answer)
    } catch {
      if (watched.get(peer) !== entry) return
      entry.missed += 1
      if (entry.missed === options.suspectAfter) deps.suspect(peer)
    } finally {
      entry.beating = false
    }
  }

  let lastRoundAt = now()
  const round = (): void => {
    const at = now()
    const late = at - lastRoundAt > 2 * options.periodMs
    lastRoundAt = at
    const everyMs = pairPeriodMs(watched.size, options)
    for (const [peer, entry] of watched) {
      // This node stood still: what came meanwhile has not been read yet.
      if (late) entry.heardAt = at
      else if (at - entry.heardAt > options.deadAfterMs) {
        watched.delete(peer)
        deps.dead(peer, at - entry.heardAt)
        continue
      }
      // Either side may have asked. The round trip is measured now and then all the same.
      const isTold = at - entry.toldAt < everyMs && at - entry.askedAt < ASK_EVERY * everyMs
      const hasAsked = entry.missed === 0 && at - entry.askedAt < EARLY * everyMs
      if (!entry.beating && !isTold && !hasAsked) void beat(peer, entry)
    }
  }

  const watch = (peer: string): void => {
    watched.set(peer, {
      missed: 0,
      heardAt: now(),
      toldAt: Number.NEGATIVE_INFINITY,
      askedAt: Number.NEGATIVE_INFINITY,
      rttMs: undefined,
      last: undefined,
      beating: false,
    })
  }
  const stopMembers: Stop = port.onMember(({ id }, change) => {
    if (change === 'joined') watch(id)
    else watched.delete(id)
  })
  for (const { id } of port.members()) watch(id)
  const stopRounds = port.timers.every(options.periodMs, round)

  return {
    load(peer) {
      const last = watched.get(peer)?.last
      return last === undefined ? undefined : { load: last.load, queueLength: last.queueLength }
    },
    rttMs: (peer) => watched.get(peer)?.rttMs,
    silentMs(peer) {
      const entry = watched.get(peer)
      return entry === undefined ? undefined : now() - entry.heardAt
    },
    async stop() {
      stopRounds()
      stopMembers()
      watched.clear()
      await unserve()
    },
  }
}
