/**
 * Finds requests that wait for each other across nodes, and has one of them give way: the driver of wait-probes.ts.
 *
 * It looks only while requests are in line, some of them for longer than STILL_MS, and all that have a slot wait for calls that
 * were made with their context as parent. A request that gives way never ran: its caller gets STA003, reason `deadlock`.
 * A probe makes a node look at what it has in work, and tells of it only to who made these calls; nobody is dialled for it.
 *
 * What members say is believed within bounds. A request is refused by its own receiver alone, in a probe that this node began,
 * where every handler that has a slot here waits for peers that all say that they are blocked, and where whoever made the
 * request has asked about it in this probe: nobody names requests of others. So a member that lies has a request refused only
 * that waits for that member anyway, and could be left without an answer; and each that said so stands for a few a minute.
 * Wire id: `/parley/waits/1`. State: the probes, those who wait for an answer, when it looks next.
 */
import { type ParleyError, stateError } from '../errors.ts'
import { createRateLimiter } from '../limits/rate-limiter.ts'
import type { Port, Stop } from '../port.ts'
import { ASK_MS, waitsProtocol } from './contract.ts'
import { slotsOf, victimOf, type WaitsHere } from './wait-graph.ts'
import { type ProbeAnswer, type ProbeEffect, type ProbeInput, STILL_MS, WaitProbes } from './wait-probes.ts'

/** What this node has in line and in work. */
export interface LocalWaits {
  /** A request is in line that came before `sinceMs` (monotonic), and all that have a slot wait for calls. */
  mayBeStuck(sinceMs: number): boolean
  /** Requests are in line. */
  hasLine(): boolean
  /** All of these calls of the peer are in line or in work; to be asked before `here`, which looks at those of everybody. */
  knows(peer: string, keys: readonly string[]): boolean
  /** How many requests `here` looks at, more or less. */
  size(): number
  here(): WaitsHere
  /** Has a request of the peer that is in line end with the error. @returns whether it was in line */
  refuse(peer: string, key: string, error: ParleyError): boolean
  /** Tells of each request that begins to wait. */
  onLine(fn: () => void): Stop
}

export interface DeadlockDetectionDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'metrics' | 'random' | 'serve' | 'to' | 'members'>
  readonly waits: LocalWaits
}

export interface DeadlockDetection {
  counts(): Readonly<Record<'begun' | 'found' | 'broken' | 'doubted' | 'refused', number>>
  stop(): Promise<void>
}

/** Until the first look; between two of them while somebody goes on. */
const LOOK_MS = 100
/** Between two looks that found nothing to do about it, at most. */
const MAX_LOOK_MS = 1_000
/** Left for the way back, at each node. */
const WAY_MS = 100
const LEAST_ASK_MS = 50
/** Peers that a line of the log names. */
const MAX_NAMED = 8
/** Questions of one peer: so many a second, after a burst; more than it forwards for others (MAX_PROBES), and its own. */
const QUESTIONS = { perSecond: 40, burst: 80, maxKeys: 1_024 }
/**
 * Work that one peer makes, and all of them: calls that are named, requests that are here and looked at for it, waits that are
 * told. One of them takes some ten microseconds.
 */
const WORK = { perSecond: 2_000, burst: 6_000, maxKeys: 1_024 }
const WORK_OF_ALL = { perSecond: 8_000, burst: 12_000, maxKeys: 1 }
/** Requests that are refused here since a peer said that it is blocked. */
const BREAKS = { perSecond: 0.5, burst: 20, maxKeys: 1_024 }

const ACTIVE: ProbeAnswer = { blocked: false }
/** Time alone looks at nothing. */
const NOTHING = { queued: new Map(), running: new Map() } as const

const deadlock = (requests: number): ParleyError =>
  stateError(
    'deadlock',
    `the request waited for a slot, and whoever has one there waits for this request: ${requests} requests wait for each other`,
    'it did not run, so it may be made again; raise limits.maxActive, or let handlers not wait for calls that come back',
    { requests },
  )

class Detection implements DeadlockDetection {
  readonly #deps: DeadlockDetectionDeps
  readonly #probes = new WaitProbes()
  readonly #questions = createRateLimiter(QUESTIONS)
  readonly #work = createRateLimiter(WORK)
  readonly #workOfAll = createRateLimiter(WORK_OF_ALL)
  readonly #breaks = createRateLimiter(BREAKS)
  /** Those that wait for an answer, and until when. */
  readonly #waiting = new Map<number, { readonly until: number; answer(answer: ProbeAnswer): void }>()
  readonly #counts = { begun: 0, found: 0, broken: 0, doubted: 0, refused: 0 }
  readonly #stopWatching: Stop
  #stopTimer: Stop | undefined
  #lookMs = LOOK_MS
  #lastToken = 0
  /** Its own probe that has not ended. */
  #own: string | undefined
  #isStopped = false
  unserve: () => Promise<void> = async () => {}

  constructor(deps: DeadlockDetectionDeps) {
    this.#deps = deps
    const { metrics } = deps.port
    this.#stopWatching = deps.waits.onLine(() => this.#arm())
    metrics.gauge('deadlock_probes', 'Probes for deadlocks that are remembered', () => this.#probes.size())
    metrics.gauge('deadlock_probes_begun', 'Probes for deadlocks that this node began', () => this.#counts.begun)
    metrics.gauge(
      'deadlock_probes_refused',
      'Questions and answers about waits that came too often, or were too much',
      () => this.#counts.refused,
    )
    metrics.gauge('deadlocks_doubted', 'Deadlocks that were told of and not believed', () => this.#counts.doubted)
    metrics.gauge('deadlocks_broken', 'Requests that gave way to a deadlock', () => this.#counts.broken)
  }

  counts() {
    return { ...this.#counts }
  }

  /** A question of a peer. */
  asked(probe: string, keys: readonly string[], from: string, leftMs: number): Promise<ProbeAnswer> | ProbeAnswer {
    const { waits } = this.#deps
    const now = this.#now()
    if (!this.#questions.take(from, now)) {
      this.#counts.refused += 1
      return ACTIVE
    }
    if (this.#isStopped || !waits.knows(from, keys)) return ACTIVE
    if (!this.#mayWork(from, keys.length + waits.size())) return ACTIVE
    return new Promise((resolve) => {
      this.#lastToken += 1
      const token = this.#lastToken
      this.#waiting.set(token, { until: now + leftMs, answer: resolve })
      this.#step({ kind: 'asked', probe, from, keys, token })
    })
  }

  #mayWork(peer: string, work: number): boolean {
    const now = this.#now()
    const cost = Math.min(work, WORK.burst)
    const may = this.#work.waitMs(peer, now, cost) === 0 && this.#workOfAll.take('', now, cost)
    if (may) this.#work.take(peer, now, cost)
    else this.#counts.refused += 1
    return may
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopWatching()
    this.#stopTimer?.()
    for (const { answer } of this.#waiting.values()) answer(ACTIVE)
    this.#waiting.clear()
    await this.unserve()
  }

  #now(): number {
    return this.#deps.port.clock.monotonic()
  }

  #arm(): void {
    if (this.#stopTimer !== undefined || this.#isStopped) return
    this.#stopTimer = this.#deps.port.timers.after(this.#lookMs, () => {
      this.#stopTimer = undefined
      this.#look()
    })
  }

  #look(): void {
    const { waits, port } = this.#deps
    this.#step({ kind: 'tick' })
    // Probes that are remembered are forgotten by the looks that follow.
    if (!waits.hasLine() && this.#probes.size() === 0) {
      this.#lookMs = LOOK_MS
      return
    }
    this.#arm()
    if (this.#own !== undefined) return
    if (!waits.mayBeStuck(this.#now() - STILL_MS)) {
      this.#lookMs = LOOK_MS
      return
    }
    this.#own = [...port.random(16)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    this.#counts.begun += 1
    this.#step({ kind: 'begin', probe: this.#own })
  }

  #step(input: ProbeInput): void {
    const { waits, port } = this.#deps
    const here = input.kind === 'tick' ? { ...NOTHING, self: port.self.id } : waits.here()
    for (const effect of this.#probes.step(input, here, this.#now())) this.#carryOut(effect)
    if (this.#probes.size() > 0) this.#arm()
  }

  #carryOut(effect: ProbeEffect): void {
    if (effect.kind === 'ask') void this.#ask(effect)
    else if (effect.kind === 'answer') {
      this.#waiting.get(effect.token)?.answer(effect.answer)
      this.#waiting.delete(effect.token)
    } else this.#conclude(effect)
  }

  async #ask({ ask, probe, peer, keys, token }: ProbeEffect & { kind: 'ask' }): Promise<void> {
    const { port } = this.#deps
    let answer = ACTIVE
    try {
      // Who serves a call of this node is connected, or the call is about to fail.
      if (!port.members().some(({ id }) => id === peer)) throw new Error('it is not connected')
      const timeoutMs = this.#leftMs(token)
      const told = await port.to(peer, waitsProtocol).probe({ probe, calls: [...keys] }, { timeoutMs })
      if (told.blocked && this.#mayWork(peer, told.waits.length))
        answer = { blocked: true, waits: told.waits.map(({ id, on, queued }) => ({ id, on, isQueued: queued })) }
    } catch {
      // It cannot say: an older version, or one that is busy. Then this is no deadlock that can be shown.
    }
    if (!this.#isStopped) this.#step({ kind: 'answered', ask, answer })
  }

  /** What whoever waits for the answer gives, less the way back. */
  #leftMs(token: number | undefined): number {
    const now = this.#now()
    const waiting = token === undefined ? undefined : this.#waiting.get(token)
    return Math.max(LEAST_ASK_MS, Math.min(ASK_MS, (waiting?.until ?? Number.POSITIVE_INFINITY) - now) - WAY_MS)
  }

  #conclude({ answer, vouched, peers }: ProbeEffect & { kind: 'concluded' }): void {
    const { port, waits } = this.#deps
    this.#own = undefined
    this.#lookMs = Math.min(MAX_LOOK_MS, this.#lookMs * 2)
    const victim = answer.blocked ? victimOf(answer.waits, slotsOf(port.self.id)) : undefined
    if (!answer.blocked || victim === undefined) return
    this.#counts.found += 1
    // Elsewhere, or made up.
    const maker = vouched.get(victim)
    if (maker === undefined) return
    if (!this.#mayBreak(peers)) {
      this.#counts.doubted += 1
      return
    }
    if (!waits.refuse(maker, victim, deadlock(answer.waits.length))) return
    this.#counts.broken += 1
    this.#lookMs = LOOK_MS
    port.log.warn('requests waited for each other across nodes; one of them gave way', {
      requests: answer.waits.length,
      peers: peers.slice(0, MAX_NAMED),
      hint: 'raise limits.maxActive, or let handlers not wait for calls that come back',
    })
  }

  /** Each of them stands for what is refused since it said that it is blocked. */
  #mayBreak(peers: readonly string[]): boolean {
    const now = this.#now()
    if (peers.some((peer) => this.#breaks.waitMs(peer, now) > 0)) return false
    for (const peer of peers) this.#breaks.take(peer, now)
    return true
  }
}

export const startDeadlockDetection = async (deps: DeadlockDetectionDeps): Promise<DeadlockDetection> => {
  const detection = new Detection(deps)
  detection.unserve = await deps.port.serve(waitsProtocol, {
    async probe({ probe, calls }, { peer, remainingMs }) {
      const answer = await detection.asked(probe, calls, peer, remainingMs())
      if (!answer.blocked) return { blocked: false, waits: [] }
      const waits = answer.waits.map(({ id, on, isQueued }) => ({
        id,
        on: [...on],
        ...(isQueued === true && { queued: true }),
      }))
      return { blocked: true, waits }
    },
  })
  return detection
}
